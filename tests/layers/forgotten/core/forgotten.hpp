#pragma once
/// Not in the umbrella.
