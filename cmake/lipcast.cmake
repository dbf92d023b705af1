# The compiler settings of every target, and the one function that adds a module.

add_library(lipcast_settings INTERFACE)
target_include_directories(lipcast_settings INTERFACE ${PROJECT_SOURCE_DIR})
# Baseline x86-64-v2; the SIMD kernels dispatch above it at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(lipcast_settings INTERFACE -march=x86-64-v2)
endif()
target_compile_options(lipcast_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports "a" + std::string as overlapping copies (GCC bug 105651).
  target_compile_options(lipcast_settings INTERFACE -Wno-restrict)
endif()
if(LIPCAST_WERROR)
  target_compile_options(lipcast_settings INTERFACE -Werror)
endif()
if(LIPCAST_SANITIZE)
  target_compile_options(lipcast_settings INTERFACE -fsanitize=${LIPCAST_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(lipcast_settings INTERFACE -fsanitize=${LIPCAST_SANITIZE})
endif()
if(LIPCAST_COVERAGE)
  target_compile_options(lipcast_settings INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(lipcast_settings INTERFACE --coverage)
endif()
if(LIPCAST_FUZZ)
  target_compile_options(lipcast_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()

# lipcast_add_module(audio SOURCES a.cc TESTS a_test.cc BENCHES a_bench.cc FUZZERS a_fuzz.cc
#                    PUBLIC lipcast::base PRIVATE soxr::soxr TEST_LIBS ... BENCH_LIBS ...)
# makes lipcast::audio, one test binary audio_test (its cases are ctest's cases), one benchmark
# binary audio_bench, and one libFuzzer binary for each fuzzer.
function(lipcast_add_module name)
  cmake_parse_arguments(M "" "" "SOURCES;TESTS;BENCHES;FUZZERS;PUBLIC;PRIVATE;TEST_LIBS;BENCH_LIBS" ${ARGN})
  set(target lipcast_${name})
  add_library(${target} STATIC ${M_SOURCES})
  add_library(lipcast::${name} ALIAS ${target})
  target_link_libraries(${target} PUBLIC lipcast_settings ${M_PUBLIC} PRIVATE ${M_PRIVATE})
  if(LIPCAST_TESTS AND M_TESTS)
    add_executable(${name}_test ${M_TESTS})
    target_link_libraries(${name}_test PRIVATE ${target} ${M_PRIVATE} ${M_TEST_LIBS} GTest::gmock
      GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE
      LIPCAST_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LIPCAST_BINARY_DIR="${PROJECT_BINARY_DIR}")
    # Almost half of a test's build time; what is tested keeps its own flags.
    if(LIPCAST_SANITIZE)
      target_compile_options(${name}_test PRIVATE -O0)
    endif()
    gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
      PROPERTIES TIMEOUT 300)
  endif()
  if(LIPCAST_BENCHES AND M_BENCHES)
    add_executable(${name}_bench ${M_BENCHES})
    target_link_libraries(${name}_bench PRIVATE ${target} ${M_PRIVATE} ${M_BENCH_LIBS}
      benchmark::benchmark_main)
    target_compile_definitions(${name}_bench PRIVATE LIPCAST_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  endif()
  if(LIPCAST_FUZZ)
    foreach(fuzzer IN LISTS M_FUZZERS)
      get_filename_component(fuzz_name ${fuzzer} NAME_WE)
      add_executable(${fuzz_name} ${fuzzer})
      target_link_libraries(${fuzz_name} PRIVATE ${target} ${M_PRIVATE})
      target_link_options(${fuzz_name} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()
