# Runs the language model and reads its JSON. float32 must give the text and logits of the reference. int8
# must predict almost as well. int4 weights must predict better if their scales depend on the inputs.
#   cmake -DPROGRAM=<tiny_llama> -DDATA=<folder> -DJSON=<path to write> -P check_tiny_llama.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS stories260k baselines.json)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --data ${DATA} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)

read_table(${JSON} greedy_tokens_as_reference 0)
value_of("float32" tokens)
expect_near("float32, first tokens as in the reference," ${tokens} 257 0)

read_table(${JSON} logit_error 5)
value_of("float32" error)
expect_near("float32, error of logits in 1e-5," ${error} 0 9)

# Perplexities in units of 1e-4.
file(READ ${DATA}/baselines.json baselines)
function(expect_as_reference text reference)
  string(JSON number GET "${baselines}" stories260k ${reference} float)
  as_integer(${number} 4 reference)
  read_table(${JSON} perplexity_${text} 4)
  value_of("float32" float)
  expect_near("float32, perplexity on ${text}," ${float} ${reference} 2)
  value_of("int8" int8)
  math(EXPR most "${float} / 200")
  expect_near("int8, perplexity on ${text}, beside float32," ${int8} ${float} ${most})
endfunction()
expect_as_reference(english "english_public")
expect_as_reference(sampled "sampled_public(seq 4-9)")

read_table(${JSON} perplexity_sampled 4)
value_of("int4, groups of 32" plain)
value_of("int4, groups of 32, by importance" fitted)
if(NOT fitted LESS plain)
  message(FATAL_ERROR "int4 by importance has perplexity ${fitted} in 1e-4, expected less than ${plain}")
endif()
