// expect: words that no compiler prints
int main() { return nothing_of_this_name; }
