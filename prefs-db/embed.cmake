# Writes a C file that holds text files as strings: cmake -DOUT=file.c -DFILES="name=path;..." -P embed.cmake
# Each becomes `const char <name>[]` and `const size_t <name>_size`. Included from CMakeLists.txt (below), it compiles the
# page's assets and the schema into the room's library.
if(CMAKE_SCRIPT_MODE_FILE)
    set(text "/* Made by prefs-db/embed.cmake. */\n#include <stddef.h>\n")
    foreach(entry ${FILES})
        string(REGEX MATCH "^([^=]+)=(.+)$" whole ${entry})
        set(name ${CMAKE_MATCH_1})
        file(READ ${CMAKE_MATCH_2} bytes HEX)
        string(LENGTH "${bytes}" digits)
        math(EXPR size "${digits} / 2")
        string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}") # 16 bytes a line
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
        string(APPEND text "extern const char ${name}[];\nextern const size_t ${name}_size;\n")
        string(APPEND text "const char ${name}[] = {\n${bytes}0};\nconst size_t ${name}_size = ${size};\n")
    endforeach()
    file(WRITE ${OUT} "${text}")
    return()
endif()

set(folder ${CMAKE_SOURCE_DIR}/prefs-db)
file(GLOB assets CONFIGURE_DEPENDS ${folder}/assets/*)
set(entries prefs_schema_sql=${folder}/schema.sql)
foreach(asset ${assets})
    get_filename_component(name ${asset} NAME)
    string(REGEX REPLACE "[^a-z0-9]" "_" name ${name})
    list(APPEND entries asset_${name}=${asset})
endforeach()
set(embedded ${CMAKE_BINARY_DIR}/prefs_embedded.c)
add_custom_command(OUTPUT ${embedded} VERBATIM DEPENDS ${folder}/embed.cmake ${folder}/schema.sql ${assets}
                   COMMAND ${CMAKE_COMMAND} "-DOUT=${embedded}" "-DFILES=${entries}" -P ${folder}/embed.cmake)
target_sources(attune-prefs-db PRIVATE ${embedded})
