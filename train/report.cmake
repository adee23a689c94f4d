# Compiles the style and the script of the report's page into the train room (train/report_style.h).
set(embed ${CMAKE_SOURCE_DIR}/prefs-db/embed.cmake)
set(style ${CMAKE_SOURCE_DIR}/train/report.css)
set(script ${CMAKE_SOURCE_DIR}/train/report.js)
set(embedded ${CMAKE_BINARY_DIR}/report_embedded.c)
add_custom_command(OUTPUT ${embedded} VERBATIM DEPENDS ${embed} ${style} ${script}
                   COMMAND ${CMAKE_COMMAND} "-DOUT=${embedded}" "-DFILES=report_style=${style};report_script=${script}" -P ${embed})
target_sources(attune-train PRIVATE ${embedded})
