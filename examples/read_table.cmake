# Reads the tables that the examples write with --json. CMake has only integers, so numbers are multiplied
# by a power of ten. For example, percentages are in hundredths of a percent.

cmake_minimum_required(VERSION 3.25)

# as_integer(<number> <decimals> <out>): sets <out> to the rounded number * 10^decimals, for at most 6
# decimals. With 2 decimals, 80.98333 becomes 8098.
function(as_integer number decimals out)
  if(NOT number MATCHES "^([0-9]+)(\\.([0-9]+))?(e-([0-9]+))?$")
    message(FATAL_ERROR "${number} is no number of 0 or more")
  endif()
  set(whole ${CMAKE_MATCH_1})
  set(fraction "${CMAKE_MATCH_3}")
  if(CMAKE_MATCH_5)  # an exponent: one digit is before the point
    math(EXPR zeros "${CMAKE_MATCH_5} - 1")
    string(REPEAT "0" ${zeros} zeros)
    set(fraction "${zeros}${whole}${fraction}")
    set(whole 0)
  endif()
  string(SUBSTRING "${fraction}0000000" 0 7 fraction)
  string(SUBSTRING "${fraction}" 0 ${decimals} kept)
  string(SUBSTRING "${fraction}" ${decimals} 1 next)
  # Without the leading 1, CMake reads a number with leading zeros as octal.
  string(REPEAT "0" ${decimals} zeros)
  math(EXPR result "${whole} * 1${zeros} + 1${kept} - 1${zeros} + (${next} + 5) / 10")
  set(${out} ${result} PARENT_SCOPE)
endfunction()

# read_table(<path> <key> <decimals>): sets `schemes` to the names of the rows, in order. Afterwards,
# value_of() returns the values of <key>.
function(read_table path key decimals)
  file(READ ${path} text)
  string(JSON count LENGTH "${text}" rows)
  math(EXPR last "${count} - 1")
  set(names "")
  set(numbers "")
  foreach(row RANGE ${last})
    string(JSON name GET "${text}" rows ${row} scheme)
    string(JSON number GET "${text}" rows ${row} ${key})
    as_integer(${number} ${decimals} value)
    list(APPEND names "${name}")
    list(APPEND numbers ${value})
  endforeach()
  set(schemes "${names}" PARENT_SCOPE)
  set(values "${numbers}" PARENT_SCOPE)
endfunction()

# value_of(<scheme> <out>)
function(value_of scheme out)
  list(FIND schemes "${scheme}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "the table has no row '${scheme}'")
  endif()
  list(GET values ${position} value)
  set(${out} ${value} PARENT_SCOPE)
endfunction()

# expect_near(<what> <value> <reference> <most>): fails if they differ by more than <most>.
function(expect_near what value reference most)
  math(EXPR difference "${value} - ${reference}")
  string(REPLACE "-" "" difference "${difference}")
  if(difference GREATER most)
    message(FATAL_ERROR "${what} is ${value}, expected ${reference} +- ${most}")
  endif()
endfunction()
