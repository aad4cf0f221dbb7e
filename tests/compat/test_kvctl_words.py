#!/usr/bin/env python3
"""Help, completion and man page of kvctl know every word and every flag: what one of them lacks is named here."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import BIN, ROOT  # noqa: E402

KVCTL = str(BIN / "kvctl")


def run(*words):
    return subprocess.run([KVCTL, *words], capture_output=True, text=True, timeout=60, check=True).stdout


def store_words():
    """The commands of kvctl itself, as lists of words; those of containers and workloads have programs of their own."""
    section = run("--help").split("\nThe store:\n")[1].split("\n\n")[0]
    return [line.split("  ")[2].split() for line in section.splitlines() if re.match(r"    \S", line)]


def man_sections():
    """Title without arguments -> text; dashes and backslashes as people read them."""
    text = (ROOT / "docs" / "man" / "kvctl.1").read_text().replace("\\-", "-")
    parts = re.split(r"^\.SS kvctl ", text, flags=re.M)[1:]
    return {re.split(r" [<\[]", part.splitlines()[0])[0]: part for part in parts}


def main():
    wrong = []
    man = man_sections()
    words = store_words()
    assert len(words) > 50, words
    flags = 0
    for word in words:
        name = " ".join(word)
        if word[-1] not in run("__complete", *word[:-1], "").split():
            wrong.append(f"completion does not offer '{name}'")
        page = run(*word, "--help")
        offered = run("__complete", *word, "--").split()
        if name not in man:
            wrong.append(f"the man page has no section '{name}'")
            continue
        for flag in re.findall(r"^ {2,6}(?:-\w, )?(--[\w-]+)", page.split("\nFlags:\n")[-1], re.M) if "\nFlags:\n" in page else []:
            flags += 1
            if flag not in offered:
                wrong.append(f"completion of '{name}' does not offer {flag}")
            if flag not in man[name]:
                wrong.append(f"the man page does not know {flag} of '{name}'")
    known = {" ".join(word) for word in words}
    others = {title.split()[0] for title in man if title not in known}
    for other in others:  # sections of words that are gone; those of the other programs are in the help, too
        if not re.search(rf"^    {re.escape(other)}\b", run("--help"), re.M):
            wrong.append(f"the man page has a section '{other}', which is no word")
    for shell in ("bash", "zsh", "fish"):
        assert "__complete" in run("completion", shell), shell
    assert not wrong, "\n".join(wrong)
    print(f"{len(words)} commands, {flags} flags: help, completion and man page agree")


if __name__ == "__main__":
    main()
