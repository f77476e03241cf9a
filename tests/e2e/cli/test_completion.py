# SPDX-License-Identifier: Apache-2.0
"""The completion of shells: what bash, zsh and fish offer, with names of what is on a live host."""
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import unittest

from e2e import BUILD, SLOW, Case, create, move, stop

TESTS_AT_ONCE = 3
PATH = f"{BUILD}:{os.environ['PATH']}"
SOON = 60
# Other hosts of this user are none of ours.
NO_OTHERS = {"XDG_RUNTIME_DIR": "/nonexistent"}
# Zsh adds matches by compadd: each that fits is printed as <match> as well.
ZSH = r"""
PS1='@@' PS2= ; unsetopt zle_bracketed_paste 2>/dev/null
fpath=(./site $fpath)
autoload -Uz compinit && compinit -u -D
[[ -d site ]] || source <(vferry completion zsh)
zstyle ':completion:*' list-colors ''
zstyle ':completion:*' format ''
compadd () {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
    local -a __hits
    builtin compadd -A __hits -D __dscr "$@"
    builtin compadd "$@"
    print -rl -- "<"${^__hits}">"
}
bindkey '^I' complete-word
zle -C complete-word complete-word _generic
"""


def answers(*words, timeout=20, **env):
    """What the shells are told."""
    done = subprocess.run([BUILD / "vferry", "__complete", "--", *words], capture_output=True, text=True, check=True, timeout=timeout,
                          env={"PATH": PATH, **NO_OTHERS, **env})
    if done.stderr:
        raise AssertionError(done.stderr)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


class Shell(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "a file").write_text("")
        (self.folder / "folder").mkdir()
        self.env = {"PATH": PATH, **NO_OTHERS, "HOME": str(self.folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}

    def live(self):
        """A host with two partitions, one of which came by a move."""
        left, right = self.pair()
        for name in ("alpha", "beta"):
            create(left, name, vram="8M")
        move(left, right, "beta")
        create(right, "gamma", vram="8M")
        self.env["VFERRY_HOST"] = str(right.state / "control.sock")
        return left, right

    def script(self, shell):
        done = subprocess.run([BUILD / "vferry", "completion", shell], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout

    def assert_completes(self, offered):
        """The same questions to every shell: offered(line) is what it offers at the line's end."""
        left, _ = self.live()
        self.assertEqual(offered("vferry part"), ["partition"])
        self.assertEqual(offered("vferry job c"), ["cancel"])
        self.assertEqual(offered("vferry partition show "), ["beta", "gamma"])
        self.assertEqual(offered("vferry partition show g"), ["gamma"])
        self.assertEqual(offered(f"vferry --host {left.state}/control.sock wait "), ["alpha"])
        self.assertEqual(offered("vferry migrate beta --verify "), ["delta", "full"])
        self.assertEqual(offered("vferry migrate beta --max-t"), ["--max-time"])
        self.assertEqual(offered("vferry job show "), ["1"])
        self.assertEqual(offered("vferry driver show "), ["0"])
        self.assertEqual(offered("vferry run beta g"), ["gemm"])
        self.assertEqual(offered("vferry check beta --to "), [left.address])
        self.assertEqual(offered("vferry nonsense "), [])
        for name in ("alpha", "beta"):
            self.assertNotIn(name, " ".join(offered("vferry partition create ")))


class Answers(Shell):
    def test_without_a_host_there_are_no_names_and_no_words_about_it(self):
        self.assertEqual(answers("partition", "show", ""), [])
        self.assertEqual(answers("partition", "show", "", VFERRY_HOST="/nonexistent/control.sock"), [])
        self.assertEqual(answers("host", "st"), ["stop"])

    def test_a_host_that_does_not_answer_is_given_up_soon(self):
        host = self.host("host")
        create(host, "p", vram="8M")
        place = str(host.state / "control.sock")
        self.assertEqual(answers("partition", "show", "", VFERRY_HOST=place), ["p"])
        stop(host.process)
        began = time.monotonic()
        try:
            self.assertEqual(answers("partition", "show", "", VFERRY_HOST=place), [])
        finally:
            host.process.send_signal(signal.SIGCONT)
        self.assertLess(time.monotonic() - began, 30 if SLOW else 10)

    def test_what_is_no_daemon_at_all_is_given_up_too(self):
        place = self.folder / "s"
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind(str(place))
            nobody.listen(1)
            self.assertEqual(answers("job", "show", "", VFERRY_HOST=str(place)), [])

    def test_the_hosts_file_names_peers(self):
        hosts = self.folder / "hosts"
        hosts.write_text("[one]\naddress = 10.0.0.1:7001\n[two]\nsocket = /var/lib/vferry\n")
        self.assertEqual(answers("check", "p", "--to", "", VFERRY_HOSTS=str(hosts)), ["10.0.0.1:7001"])
        hosts.write_text("[broken\n")
        self.assertEqual(answers("check", "p", "--to", "", VFERRY_HOSTS=str(hosts)), [])

    def test_a_shell_that_is_none_is_told_which_there_are(self):
        for words in ([], ["tcsh"], ["bash", "zsh"]):
            done = subprocess.run([BUILD / "vferry", "completion", *words], capture_output=True, text=True, check=False, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn("bash, zsh or fish", done.stderr)

    def test_a_script_that_cannot_be_written_is_told(self):
        for to, why in ((">/dev/full", "No space left"), (">&-", "Bad file")):
            done = subprocess.run(["sh", "-c", f'"$0" completion bash {to}', BUILD / "vferry"], capture_output=True, text=True,
                                  check=False, timeout=20)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), to)
            self.assertIn("write to stdout: " + why, done.stderr)


class Bash(Shell):
    def offered(self, line):
        """As bash calls it: the line, the cursor at its end, and the line taken apart at COMP_WORDBREAKS."""
        program = (
            'source <(vferry completion bash); COMP_LINE=$1; COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]}-1));'
            ' $(complete -p vferry | sed "s/.*-F \\([^ ]*\\).*/\\1/"); printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "--norc", "-c", program, "bash", line], capture_output=True, text=True, check=False,
                              timeout=SOON, env=self.env, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return [word for word in done.stdout.splitlines() if word]

    def test_completes(self):
        # After "--to 127.0.0.1:" bash itself goes on behind the colon.
        self.assert_completes(self.offered)
        left = self.hosts[0]
        host, port = left.address.split(":")
        self.assertEqual(self.offered(f"vferry check beta --to {host}:"), [port])
        self.assertEqual(self.offered("vferry migrate beta --verify=d"), ["delta"])
        self.assertEqual(self.offered("vferry save beta --output a"), ["a file"])
        self.assertEqual(self.offered("vferry cert init f"), ["folder"])

    @unittest.skipUnless(shutil.which("shellcheck"), "needs shellcheck")
    def test_the_script_is_clean(self):
        done = subprocess.run(["shellcheck", "--shell=bash", "-"], input=self.script("bash"), capture_output=True, text=True,
                              check=False, timeout=SOON)
        self.assertEqual(done.stdout, "")


@unittest.skipUnless(shutil.which("fish"), "needs fish")
class Fish(Shell):
    def offered(self, line):
        done = subprocess.run(["fish", "--no-config", "-c", "vferry completion fish | source; complete -C $argv[1]", line],
                              capture_output=True, text=True, check=False, timeout=SOON, env=self.env, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return [told.split("\t")[0] for told in done.stdout.splitlines()]

    def test_completes(self):
        self.assert_completes(self.offered)
        self.assertEqual(self.offered("vferry migrate beta --verify=d"), ["--verify=delta"])
        self.assertEqual(self.offered("vferry save beta --output a"), ["a file"])
        self.assertEqual(self.offered("vferry cert init f"), ["folder/"])


@unittest.skipUnless(shutil.which("zsh"), "needs zsh")
class Zsh(Shell):
    def setUp(self):
        super().setUp()
        self.pid, self.unread = None, ""

    def tearDown(self):
        if self.pid is not None:
            os.close(self.terminal)
            os.waitpid(self.pid, 0)
        super().tearDown()

    def until(self, mark):
        """What the terminal shows until the mark, without it."""
        end = time.monotonic() + SOON
        while mark not in self.unread:
            self.assertLess(time.monotonic(), end, f"no {mark!r} in {self.unread!r}")
            if select.select([self.terminal], [], [], 1)[0]:
                self.unread += os.read(self.terminal, 65536).decode(errors="replace")
        shown, self.unread = self.unread.split(mark, 1)
        return shown

    def begin(self):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**self.env, "COLUMNS": "200", "LINES": "50"})
        (self.folder / "setup").write_text(ZSH)
        os.write(self.terminal, b"source ./setup\n")
        self.until("@@")  # from here on the line editor has the terminal

    def offered(self, line):
        if self.pid is None:
            self.begin()
        os.write(self.terminal, line.encode() + b"\t\x15print D''ONE\n")
        shown = self.until("DONE")
        self.until("@@")
        return sorted({word.replace("\\", "") for word in re.findall(r"<([^<>\r\n]*)>", shown) if word})

    def test_completes(self):
        self.assert_completes(self.offered)
        self.assertEqual(self.offered("vferry migrate beta --verify=d"), ["--verify=delta"])

    def test_is_found_where_it_is_installed(self):
        (self.folder / "site").mkdir()
        (self.folder / "site/_vferry").write_text(self.script("zsh"))
        for _ in range(2):  # loaded by the first
            self.assertEqual(self.offered("vferry job c"), ["cancel"])


if __name__ == "__main__":
    unittest.main()
