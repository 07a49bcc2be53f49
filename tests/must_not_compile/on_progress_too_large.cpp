// error: on_progress keeps up to four pointers
#include <coproc/progress.hpp>

#include <string>

int main()
{
    std::string text;
    coproc::progress_callback c = [text](const coproc::progress&) {};
    return c ? 0 : 1;
}
