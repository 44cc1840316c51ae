# cmake -DTEMPLATE=page/x.html -DOUTPUT=x.c -DNAME=qc_x -P embed_page.cmake
# Puts the files that the template names (@include FILE@) into it and writes the result as two arrays
# of bytes, NAME_head and NAME_tail: what comes before and after its one @DOCUMENT@.
get_filename_component(folder ${TEMPLATE} DIRECTORY)
file(READ ${TEMPLATE} page)
string(REGEX MATCHALL "@include [a-z_]+\\.[a-z]+@" includes "${page}")
foreach(include IN LISTS includes)
  string(REGEX REPLACE "@include (.*)@" "\\1" name ${include})
  file(READ ${folder}/${name} part)
  string(REPLACE "${include}" "${part}" page "${page}")
endforeach()

string(FIND "${page}" "@DOCUMENT@" place)
if(place LESS 0)
  message(FATAL_ERROR "${TEMPLATE}: no @DOCUMENT@")
endif()
string(SUBSTRING "${page}" 0 ${place} head)
math(EXPR place "${place} + 10")
string(SUBSTRING "${page}" ${place} -1 tail)

set(source "/* Made from ${TEMPLATE} by cmake/embed_page.cmake. */\n#include \"cli/compare_page.h\"\n")
foreach(part IN ITEMS head tail)
  string(HEX "${${part}}" bytes)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND source "\nconst unsigned char ${NAME}_${part}[] = {${bytes}};\n"
    "const size_t ${NAME}_${part}_size = sizeof ${NAME}_${part};\n")
endforeach()
file(WRITE ${OUTPUT} "${source}")
