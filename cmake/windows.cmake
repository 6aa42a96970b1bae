# Cross build with Debian's g++-mingw-w64-x86-64-posix, which supports C++ threads. Programs are linked
# statically, because wine does not find the DLLs of the compiler.

set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(triple x86_64-w64-mingw32)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
set(CMAKE_CXX_COMPILER ${triple}-g++-posix)
set(CMAKE_C_COMPILER ${triple}-gcc-posix)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
