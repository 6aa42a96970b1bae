// expect only: nothing_of_this_name
int main() { return nothing_of_this_name + nothing_of_that_name; }
