# Cross build with Debian's gcc-arm-none-eabi for a Cortex-M4 without floating-point unit and without operating system.

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(triple arm-none-eabi)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # a program would need a linker script
set(CMAKE_CXX_FLAGS_INIT "-mcpu=cortex-m4 -mthumb -mfloat-abi=soft -fno-exceptions -fno-rtti")
