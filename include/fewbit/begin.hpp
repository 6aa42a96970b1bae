/// Every header includes this file first and its counterpart, fewbit/end.hpp, last.
///
/// Programs define macros with common names (windows.h, X11, Arduino, curses). Such macros would
/// change the code between the two files. This file saves and undefines the macros, and end.hpp
/// restores them. Only the outermost header does so, for all headers that it includes. Some
/// warnings are also disabled between the two files, because they report correct code: a signed
/// extent used as a size, a float used as a double, a comparison with exactly zero, a format string
/// passed on by a function. They stay disabled in templates that the program instantiates.
///
/// Both files are included many times, so neither has a `#pragma once`. No name in the list may be
/// a macro of the standard library or of Eigen, because their headers are included between the two.

#include "fewbit/config.hpp"

// FEWBIT_DETAIL_OUTERMOST is defined in the outermost header only. push_macro keeps one state for
// each level of nested headers.
#pragma push_macro("FEWBIT_DETAIL_OUTERMOST")
#undef FEWBIT_DETAIL_OUTERMOST
#if !defined(FEWBIT_DETAIL_HOST_IS_ASIDE)
#define FEWBIT_DETAIL_HOST_IS_ASIDE
#define FEWBIT_DETAIL_OUTERMOST

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wfloat-equal"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuseless-cast"
// g++ 12 warns about the undefined lanes of its own AVX-512 intrinsics where they are inlined here.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#endif

// Template parameters of this library and of Eigen. X11 and ctype.h of some C libraries define
// some.
#pragma push_macro("A")
#pragma push_macro("B")
#pragma push_macro("C")
#pragma push_macro("D")
#pragma push_macro("E")
#pragma push_macro("F")
#pragma push_macro("G")
#pragma push_macro("H")
#pragma push_macro("I")
#pragma push_macro("J")
#pragma push_macro("K")
#pragma push_macro("L")
#pragma push_macro("M")
#pragma push_macro("N")
#pragma push_macro("O")
#pragma push_macro("P")
#pragma push_macro("Q")
#pragma push_macro("R")
#pragma push_macro("S")
#pragma push_macro("T")
#pragma push_macro("U")
#pragma push_macro("V")
#pragma push_macro("W")
#pragma push_macro("X")
#pragma push_macro("Y")
#pragma push_macro("Z")
#undef A
#undef B
#undef C
#undef D
#undef E
#undef F
#undef G
#undef H
#undef I
#undef J
#undef K
#undef L
#undef M
#undef N
#undef O
#undef P
#undef Q
#undef R
#undef S
#undef T
#undef U
#undef V
#undef W
#undef X
#undef Y
#undef Z

// C libraries, curses, BSD
#pragma push_macro("abs")
#pragma push_macro("access")
#pragma push_macro("bit")
#pragma push_macro("clear")
#pragma push_macro("columns")
#pragma push_macro("degrees")
#pragma push_macro("hypot")
#pragma push_macro("index")
#pragma push_macro("key_end")
#pragma push_macro("lines")
#pragma push_macro("move")
#pragma push_macro("radians")
#pragma push_macro("random")
#pragma push_macro("read")
#pragma push_macro("refresh")
#pragma push_macro("round")
#pragma push_macro("select")
#pragma push_macro("word")
#pragma push_macro("write")
#undef abs
#undef access
#undef bit
#undef clear
#undef columns
#undef degrees
#undef hypot
#undef index
#undef key_end
#undef lines
#undef move
#undef radians
#undef random
#undef read
#undef refresh
#undef round
#undef select
#undef word
#undef write

// windows.h
#pragma push_macro("CONST")
#pragma push_macro("DELETE")
#pragma push_macro("ERROR")
#pragma push_macro("FALSE")
#pragma push_macro("FAR")
#pragma push_macro("IGNORE")
#pragma push_macro("IN")
#pragma push_macro("INFINITE")
#pragma push_macro("INTERFACE")
#pragma push_macro("NEAR")
#pragma push_macro("NO_ERROR")
#pragma push_macro("OPAQUE")
#pragma push_macro("OPTIONAL")
#pragma push_macro("OUT")
#pragma push_macro("RELATIVE")
#pragma push_macro("STRICT")
#pragma push_macro("THIS")
#pragma push_macro("TRANSPARENT")
#pragma push_macro("TRUE")
#pragma push_macro("VOID")
#pragma push_macro("Yield")
#pragma push_macro("cdecl")
#pragma push_macro("far")
#pragma push_macro("hyper")
#pragma push_macro("interface")
#pragma push_macro("max")
#pragma push_macro("min")
#pragma push_macro("near")
#pragma push_macro("pascal")
#pragma push_macro("small")
#undef CONST
#undef DELETE
#undef ERROR
#undef FALSE
#undef FAR
#undef IGNORE
#undef IN
#undef INFINITE
#undef INTERFACE
#undef NEAR
#undef NO_ERROR
#undef OPAQUE
#undef OPTIONAL
#undef OUT
#undef RELATIVE
#undef STRICT
#undef THIS
#undef TRANSPARENT
#undef TRUE
#undef VOID
#undef Yield
#undef cdecl
#undef far
#undef hyper
#undef interface
#undef max
#undef min
#undef near
#undef pascal
#undef small

// X11
#pragma push_macro("Above")
#pragma push_macro("Always")
#pragma push_macro("Below")
#pragma push_macro("Bool")
#pragma push_macro("Complex")
#pragma push_macro("Convex")
#pragma push_macro("CursorShape")
#pragma push_macro("Data")
#pragma push_macro("DestroyAll")
#pragma push_macro("Expose")
#pragma push_macro("False")
#pragma push_macro("FocusIn")
#pragma push_macro("FocusOut")
#pragma push_macro("KeyPress")
#pragma push_macro("KeyRelease")
#pragma push_macro("LSBFirst")
#pragma push_macro("MSBFirst")
#pragma push_macro("None")
#pragma push_macro("Select")
#pragma push_macro("Status")
#pragma push_macro("Success")
#pragma push_macro("Time")
#pragma push_macro("True")
#pragma push_macro("Unsorted")
#undef Above
#undef Always
#undef Below
#undef Bool
#undef Complex
#undef Convex
#undef CursorShape
#undef Data
#undef DestroyAll
#undef Expose
#undef False
#undef FocusIn
#undef FocusOut
#undef KeyPress
#undef KeyRelease
#undef LSBFirst
#undef MSBFirst
#undef None
#undef Select
#undef Status
#undef Success
#undef Time
#undef True
#undef Unsorted

// Arduino
#pragma push_macro("B0")
#pragma push_macro("B1")
#pragma push_macro("CHANGE")
#pragma push_macro("D0")
#pragma push_macro("D1")
#pragma push_macro("D2")
#pragma push_macro("D3")
#pragma push_macro("DEFAULT")
#pragma push_macro("DISPLAY")
#pragma push_macro("EULER")
#pragma push_macro("EXTERNAL")
#pragma push_macro("FALLING")
#pragma push_macro("HALF_PI")
#pragma push_macro("HIGH")
#pragma push_macro("INPUT")
#pragma push_macro("INPUT_PULLUP")
#pragma push_macro("INTERNAL")
#pragma push_macro("LOW")
#pragma push_macro("LSBFIRST")
#pragma push_macro("MSBFIRST")
#pragma push_macro("OUTPUT")
#pragma push_macro("PA")
#pragma push_macro("PI")
#pragma push_macro("RISING")
#pragma push_macro("SERIAL")
#pragma push_macro("TWO_PI")
#pragma push_macro("constrain")
#pragma push_macro("interrupts")
#pragma push_macro("sq")
#undef B0
#undef B1
#undef CHANGE
#undef D0
#undef D1
#undef D2
#undef D3
#undef DEFAULT
#undef DISPLAY
#undef EULER
#undef EXTERNAL
#undef FALLING
#undef HALF_PI
#undef HIGH
#undef INPUT
#undef INPUT_PULLUP
#undef INTERNAL
#undef LOW
#undef LSBFIRST
#undef MSBFIRST
#undef OUTPUT
#undef PA
#undef PI
#undef RISING
#undef SERIAL
#undef TWO_PI
#undef constrain
#undef interrupts
#undef sq
#endif
