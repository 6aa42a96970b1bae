# Writes the weights of the language model with quantize_checkpoint, runs the model from these files and reads the
# JSON. Files must give the figures of the weights that they were made of.
#   cmake -DPROGRAM=<tiny_llama> -DQUANTIZE=<quantize_checkpoint> -DDATA=<folder> -DFOLDER=<folder to write>
#         -P check_tiny_llama_files.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

set(weights ${DATA}/stories260k/stories260k.safetensors)
if(NOT EXISTS ${weights})
  message(NOTICE "no data: ${weights} is missing")  # CMake breaks the lines of its errors
  message(FATAL_ERROR "nothing was checked")
endif()
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})

function(quantize in out)
  execute_process(COMMAND ${QUANTIZE} ${in} -o ${FOLDER}/${out} --verify --quiet ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# run(<name of a row> <out>...): runs the program and sets <out>_<key> to the figures of the row.
function(run row out)
  execute_process(COMMAND ${PROGRAM} --data ${DATA} --tokens 257 --json ${FOLDER}/table.json ${ARGN}
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  foreach(key IN ITEMS perplexity_sampled perplexity_english logit_error weight_bytes)
    read_table(${FOLDER}/table.json ${key} 4)
    value_of("${row}" value)
    set(${out}_${key} ${value} PARENT_SCOPE)
  endforeach()
endfunction()

# expect_same(<one> <other>): fails if two runs have different figures.
function(expect_same one other)
  foreach(key IN ITEMS perplexity_sampled perplexity_english logit_error weight_bytes)
    expect_near("${key} of ${one}," ${${one}_${key}} ${${other}_${key}} 0)
  endforeach()
endfunction()

set(embeddings --scheme tok_embeddings*=keep)
set(int8 "int8 per_row symmetric real_scale nearest_even")
set(q8_0 "int8 grouped:32 symmetric real_scale nearest_even")

quantize(${weights} int8.safetensors --scheme int8_per_row ${embeddings})
quantize(${weights} floats.gguf --scheme *=keep)
# 172 columns are no whole blocks.
quantize(${weights} q8_0.gguf --scheme q8_0 --scheme *.w2.*=keep ${embeddings})
quantize(${FOLDER}/q8_0.gguf q8_0.safetensors --scheme *=keep)

run("int8" memory)
run("file, ${int8}" int8 --weights ${FOLDER}/int8.safetensors)
expect_same(int8 memory)
run("int8" gguf --weights ${FOLDER}/floats.gguf)
expect_same(gguf memory)
run("file, ${q8_0}" q8_0 --weights ${FOLDER}/q8_0.gguf)
run("file, ${q8_0}" unpacked --weights ${FOLDER}/q8_0.safetensors)
expect_same(unpacked q8_0)
expect_near("English perplexity of Q8_0, beside int8," ${q8_0_perplexity_english} ${memory_perplexity_english} 200)
