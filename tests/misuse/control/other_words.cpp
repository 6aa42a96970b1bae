// expect: words that no compiler says
int main() { return nothing_of_this_name; }
