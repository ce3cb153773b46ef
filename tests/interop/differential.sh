#!/usr/bin/env bash
# Sends the same random operations to a real ZooKeeper and to `quorate server`, each a server alone, and compares all that they say.
# Needs Java and Debian's package `zookeeper` (or CLASSPATH set to a ZooKeeper with its dependencies), and python3.
#
#   tests/interop/differential.sh [--operations 10000] [--seed 1]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
classpath=${CLASSPATH:-/etc/zookeeper/conf:/usr/share/java/zookeeper.jar}
cargo build --release --manifest-path "$here/../../Cargo.toml" -p quorate-server
quorate=$(cargo metadata --format-version 1 --no-deps --manifest-path "$here/../../Cargo.toml" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/quorate

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
read -r model judged < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])')
for port in "$model" "$judged"; do
  mkdir -p "$dir/$port/data"
  cat >"$dir/$port/zoo.cfg" <<CFG
tickTime=2000
dataDir=$dir/$port/data
clientPort=$port
clientPortAddress=127.0.0.1
maxClientCnxns=0
extendedTypesEnabled=true
admin.enableServer=false
CFG
done
java -Xmx512m -cp "$classpath" org.apache.zookeeper.server.ZooKeeperServerMain "$dir/$model/zoo.cfg" >"$dir/model.log" 2>&1 &
"$quorate" server "$dir/$judged/zoo.cfg" >"$dir/judged.log" 2>&1 &
python3 - "$model" "$judged" <<'PY'
import socket, sys, time
for port in map(int, sys.argv[1:]):
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(b"srvr")
                if b"Mode:" in one.recv(65536):
                    break
        except OSError:
            pass
        time.sleep(0.1)
    else:
        sys.exit(f"no server came up on port {port}")
PY
python3 "$here/differential.py" "127.0.0.1:$model" "127.0.0.1:$judged" "$@"
