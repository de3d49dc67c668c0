# A room is a library cornstarch_<room> with public headers in include/, sources and private headers in src/. What a
# backend brings has a twin for builds without it: cuda*, nccl* and *.cu are built with CUDA, no_cuda* and no_nccl*
# without.
#
#   cornstarch_room(<room> [PUBLIC lib...] [PRIVATE lib...])     lib: another room's name or any CMake target
#   cornstarch_test(<room> [lib...])                            unit tests of a room: tests/unit/<room>/*.cpp
function(_cornstarch_names out)
  set(result)
  foreach(name IN LISTS ARGN)
    if(name MATCHES "^(base|templates|config|launch|control|formats|catalog|plan|telemetry|report|dataio|checkpoint|comm|selftest|nn|models|generate|pipeline|optim|train)$")
      list(APPEND result cornstarch_${name})
    else()
      list(APPEND result ${name})
    endif()
  endforeach()
  set(${out} ${result} PARENT_SCOPE)
endfunction()

function(cornstarch_room room)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cu)
  list(FILTER sources EXCLUDE REGEX "_module\\.cpp$")
  if(CORNSTARCH_WITH_CUDA)
    list(FILTER sources EXCLUDE REGEX "/no_(cuda|nccl)[^/]*$")
  else()
    list(FILTER sources EXCLUDE REGEX "/(cuda|nccl)[^/]*$|\\.cu$")
  endif()
  if(NOT sources)
    return()
  endif()
  _cornstarch_names(public ${arg_PUBLIC})
  _cornstarch_names(private ${arg_PRIVATE})
  add_library(cornstarch_${room} STATIC ${sources})
  add_library(cornstarch::${room} ALIAS cornstarch_${room})
  target_include_directories(cornstarch_${room} PUBLIC include PRIVATE src)
  target_link_libraries(cornstarch_${room} PUBLIC ${public} PRIVATE ${private} cornstarch_flags)
endfunction()

function(cornstarch_test room)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/${room}/*_test.cpp)
  if(NOT CORNSTARCH_WITH_CUDA)
    list(FILTER sources EXCLUDE REGEX "/(cuda|nccl)[^/]*$")
  endif()
  if(NOT sources)
    return()
  endif()
  _cornstarch_names(libs ${room} ${ARGN})
  add_executable(${room}_test ${sources})
  target_include_directories(${room}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/support
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/${room} ${PROJECT_SOURCE_DIR}/lib/${room}/src)
  target_compile_definitions(${room}_test PRIVATE CORNSTARCH_TEST_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
    CORNSTARCH_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${room}_test PRIVATE ${libs} cornstarch_catch_main cornstarch_flags)
  set_target_properties(${room}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME unit.${room} COMMAND ${room}_test)
  set_tests_properties(unit.${room} PROPERTIES LABELS unit TIMEOUT 300)
  if(CORNSTARCH_SANITIZE MATCHES thread)
    # Tests fork to see what becomes of a process; LibTorch's own locks are not for us to judge.
    set_tests_properties(unit.${room} PROPERTIES TIMEOUT 1800
      ENVIRONMENT "TSAN_OPTIONS=die_after_fork=0 suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/tsan.supp")
  endif()
endfunction()

# find_package_library(TARGET header library package): an imported target found_TARGET of what has no CMake files of its
# own, found by name, so that pkg-config is not needed.
function(find_package_library target header library package)
  find_path(${target}_INCLUDE ${header})
  find_library(${target}_LIBRARY ${library})
  if(NOT ${target}_INCLUDE OR NOT ${target}_LIBRARY)
    file(RELATIVE_PATH room ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    message(FATAL_ERROR "${room} needs ${header} and ${library}: install ${package}")
  endif()
  add_library(found_${target} INTERFACE IMPORTED)
  target_include_directories(found_${target} SYSTEM INTERFACE ${${target}_INCLUDE})
  target_link_libraries(found_${target} INTERFACE ${${target}_LIBRARY})
  set_target_properties(found_${target} PROPERTIES IMPORTED_GLOBAL TRUE)
endfunction()
