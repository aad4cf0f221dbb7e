#!/bin/bash
# The terminal: --console-socket as conmon and containerd use it, and run/exec -t in the foreground.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "needs python3"

# recvtty SOCKET COMMAND...: receive one terminal on the socket, run the command, print what came through.
cat >"$W/recvtty.py" <<'PY'
import array, os, select, socket, subprocess, sys, time
path, send = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode()
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(1)
child = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL)
connection, _ = listener.accept()
fds = array.array("i")
name, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
fds.frombytes(ancillary[0][2][:4])
master = fds[0]
if child.wait() != 0:
    sys.exit("failed")
os.write(master, send)
out, end = b"", time.time() + 10
while time.time() < end:
    if select.select([master], [], [], 0.1)[0]:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        out += data
print(name.decode(), out.decode().replace("\r", ""), sep="\n", end="")
PY

bundle t "$(sh_c 'tty; test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; stat -c %t:%T /dev/console | cut -c1-3; read x; echo got $x') | .process.terminal = true | .process.consoleSize = {\"height\":33,\"width\":77}"
out=$(python3 "$W/recvtty.py" "$W/tty.sock" 'input\n' "$KVRUN" --root "$W/state" run -d --console-socket "$W/tty.sock" -b "$W/t" t)
# where the echo of the input lands is a matter of timing
is "a terminal through --console-socket" "$(echo $out | sed 's/ input / /')" "/dev/pts/0 /dev/pts/0 terminal 33 77 88: got input"
run delete -f t

like "create with a terminal needs the socket" "$(run create -b "$W/t" t 2>&1)" "cannot allocate tty if kvrun will detach without setting --console-socket"
bundle n '.process.args = ["sleep","1000"]'
like "a socket without a terminal is refused" "$(run create --console-socket "$W/x" -b "$W/n" n 2>&1)" "cannot use console socket"

run run -d -b "$W/n" n </dev/null >/dev/null 2>&1
jq -n '{terminal:true,args:["sh","-c","tty; id -u; read x; echo got $x"],cwd:"/",env:["PATH=/bin"],user:{uid:1000,gid:1000}}' >"$W/process.json"
# conmon's order of words: --tty before --console-socket
out=$(python3 "$W/recvtty.py" "$W/tty2.sock" 'word\n' "$KVRUN" --root "$W/state" exec --pid-file "$W/pid" --process "$W/process.json" --detach --tty --console-socket "$W/tty2.sock" n)
is "exec with a terminal" "$(echo $out | sed 's,/dev/pts/[0-9]*,PTS,g; s/ word / /')" "PTS PTS 1000 got word"

cat >"$W/foreground.py" <<'PY'
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out = b""
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    out += data
_, status = os.waitpid(pid, 0)
print(out.decode().replace("\r", ""), os.waitstatus_to_exitcode(status), sep="", end="")
PY
bundle f "$(sh_c 'test -t 1 && echo terminal; exit 5') | .process.terminal = true"
is "run in the foreground with a terminal" "$(echo $(python3 "$W/foreground.py" "$KVRUN" --root "$W/state" run -b "$W/f" f))" "terminal 5"
is "exec -t in the foreground" "$(echo $(python3 "$W/foreground.py" "$KVRUN" --root "$W/state" exec -t n sh -c 'test -t 0 && echo terminal; exit 6'))" "terminal 6"
run delete -f n
is "nothing is left" "$(ls "$W/state")$(cgroups_left)" 0
finish
