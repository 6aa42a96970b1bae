#pragma once
/// The other sibling.
