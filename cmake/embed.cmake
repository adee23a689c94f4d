# Text files as strings of the program. Run as a script, it writes a C file:
#     cmake -DOUT=file.c -DFILES="name=path;..." -P embed.cmake
# Each file becomes `const char <name>[]` and `const size_t <name>_size`. Included, it gives CMakeLists.txt the function below.
if(CMAKE_SCRIPT_MODE_FILE)
    set(text "/* Made by cmake/embed.cmake. */\n#include <stddef.h>\n")
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

# attune_embed(<target> <name>=<path>...): compiles files into a target.
set(embed_script ${CMAKE_CURRENT_LIST_FILE})
function(attune_embed target)
    set(embedded ${CMAKE_BINARY_DIR}/${target}_embedded.c)
    string(REGEX REPLACE "[^;=]+=" "" paths "${ARGN}")
    add_custom_command(OUTPUT ${embedded} VERBATIM DEPENDS ${embed_script} ${paths}
                       COMMAND ${CMAKE_COMMAND} "-DOUT=${embedded}" "-DFILES=${ARGN}" -P ${embed_script})
    target_sources(${target} PRIVATE ${embedded})
endfunction()
