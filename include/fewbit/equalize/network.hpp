#pragma once
/// A network is the user's own code: a list of layers, and a callable forward(inputs, compute) that
/// calls compute(layer, x, y) wherever a layer is computed.
///
/// | header                  | what                                                        |
/// |-------------------------|-------------------------------------------------------------|
/// | network/layer.hpp       | network_layer: kind, weights, bias, geometry, activation    |
/// | network/layer_list.hpp  | layer_list: checked layers, found by name                   |
/// | network/compute.hpp     | compute_function, forward_function, float_compute, watching |
/// | network/batches.hpp     | input_batches: calibration inputs; progress_function        |
/// | network/observe.hpp     | observe_inputs: an observer for the inputs of each layer    |
/// | network/input_codes.hpp | input_codes: quantized inputs                               |
/// | network/simulate.hpp    | simulation: quantized weights and inputs, in float          |
///
/// Read next: the functions of equalize/, which repair layers.

#include "fewbit/begin.hpp"

#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/compute.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/observe.hpp"
#include "fewbit/equalize/network/simulate.hpp"

#include "fewbit/end.hpp"
