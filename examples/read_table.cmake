# Reads the tables that the examples write with --json. CMake counts in integers, so percentages come
# in hundredths of a percent.

cmake_minimum_required(VERSION 3.25)

# hundredths(<number> <out>): 80.98333 becomes 8098, rounded.
function(hundredths number out)
  if(NOT number MATCHES "^([0-9]+)(\\.([0-9]+))?$")
    message(FATAL_ERROR "${number} is no percentage")
  endif()
  set(whole ${CMAKE_MATCH_1})
  string(SUBSTRING "${CMAKE_MATCH_3}000000" 0 6 fraction)
  # The leading 1 keeps zeros from being read as octal.
  math(EXPR result "${whole} * 100 + (1${fraction} - 1000000 + 5000) / 10000")
  set(${out} ${result} PARENT_SCOPE)
endfunction()

# read_table(<path> <key>): sets `schemes` to the names of the rows, in order; accuracy_of() then knows
# what stands under <key>.
function(read_table path key)
  file(READ ${path} text)
  string(JSON count LENGTH "${text}" rows)
  math(EXPR last "${count} - 1")
  set(names "")
  set(values "")
  foreach(row RANGE ${last})
    string(JSON name GET "${text}" rows ${row} scheme)
    string(JSON number GET "${text}" rows ${row} ${key})
    hundredths(${number} value)
    list(APPEND names "${name}")
    list(APPEND values ${value})
  endforeach()
  set(schemes "${names}" PARENT_SCOPE)
  set(accuracies "${values}" PARENT_SCOPE)
endfunction()

# accuracy_of(<scheme> <out>)
function(accuracy_of scheme out)
  list(FIND schemes "${scheme}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "the table has no row '${scheme}'")
  endif()
  list(GET accuracies ${position} value)
  set(${out} ${value} PARENT_SCOPE)
endfunction()

# expect_near(<what> <value> <reference> <most>): red if they differ by more than <most> hundredths.
function(expect_near what value reference most)
  math(EXPR difference "${value} - ${reference}")
  string(REPLACE "-" "" difference "${difference}")
  if(difference GREATER most)
    message(FATAL_ERROR "${what} is ${value} hundredths of a percent, expected ${reference} +- ${most}")
  endif()
endfunction()
