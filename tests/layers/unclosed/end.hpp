/// Half of the pair begin.hpp and end.hpp.
