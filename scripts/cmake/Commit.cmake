# cmake -DSOURCE=FOLDER -DHEADER=FILE -P Commit.cmake: tells the C++ code which commit it is, as the header says; nothing
# where the folder is no clone. The file is touched only if that changes.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --exclude=* --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n#define CORNSTARCH_COMMIT \"${commit}\"\n")
