# Runs inside the guest: real netem and iptables-legacy, on containers. Prints `name value` lines that the test reads.
set -eu
export HOME=/tmp/home STATE=/tmp/state
mkdir -p "$HOME" /tmp/root/usr/bin
cp -L --parents $(ldd /usr/bin/etcd | grep -o '/[^ ]*') /tmp/root
cp /usr/bin/etcd /tmp/root/tikv-server
tar -C /tmp/root -c . | docker import --change 'ENTRYPOINT ["/tikv-server"]' - node >/dev/null
docker network create lab >/dev/null
for n in 0 1; do
    docker run -d --name tikv$n --network lab node --data-dir=/tmp/db \
        --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://tikv$n:2379 >/dev/null
done
ip=$(docker inspect -f '{{.NetworkSettings.Networks.lab.IPAddress}}' tikv1)
pid=$(docker inspect -f '{{.State.Pid}}' tikv1)

chaos() { "$PRODUCT" "$@" --state-dir "$STATE"; }
qdisc() { nsenter -t "$pid" -n tc qdisc show dev eth0 | tr '\n' ' '; }
# Milliseconds that a TCP connect takes: its answer leaves the node through the qdisc.
connect() { bash -c 'TIMEFORMAT=%3R; time exec 3<>/dev/tcp/'"$ip"'/2379' 2>&1 | tr -d .; }
until connect >/dev/null 2>&1 && [ "$(connect)" -lt 5000 ]; do :; done

echo "before $(connect)"
chaos inject latency --force --target tikv1 --min-ms 600 --max-ms 800 --json >/tmp/one.json
echo "during $(connect) $(connect) $(connect)"
echo "qdisc $(qdisc)"

chaos inject latency --force --target tikv1 --min-ms 100 --max-ms 300 --json >/tmp/two.json
echo "both $(qdisc)"
chaos cleanup </tmp/one.json >/dev/null
echo "second $(qdisc)"
chaos cleanup </tmp/two.json >/dev/null
chaos cleanup </tmp/two.json >/dev/null
echo "after $(connect)"
echo "clean $(qdisc)"

# Killed right after it injected.
chaos inject latency --force --target tikv1 --json >/dev/null &
program=$!
until grep -qs '"state": "active"' "$STATE"/sessions/*.json; do :; done
kill -9 $program 2>/dev/null || true
wait $program 2>/dev/null || true
echo "left $(qdisc)"
chaos recover >/dev/null
echo "recovered $(qdisc)"

# Known by the mark alone: first to a helper that keeps it, then to nobody.
chaos inject latency --force --target tikv1 --ttl none >/dev/null
"$PRODUCT" recover --state-dir /tmp/other >/tmp/held
echo "held $(qdisc)"
echo "said $(grep -c 'latency on tikv1: left alone' /tmp/held)"
docker rm -f $(docker ps -aq --filter label=tikv-chaos.role=holder) >/dev/null
rm "$STATE"/sessions/*.json
"$PRODUCT" recover --state-dir /tmp/other >/tmp/unheld
echo "unheld $(qdisc)"

nsenter -t "$pid" -n tc qdisc add dev eth0 root handle 7: tbf rate 1gbit burst 1mb latency 10ms
set +e
chaos inject latency --force --target tikv1 >/dev/null 2>/tmp/refusal
echo "foreign $? $(cat /tmp/refusal)"
set -e
echo "kept $(qdisc)"
nsenter -t "$pid" -n tc qdisc del dev eth0 root

chaos inject network_partition --force --target tikv1 --json >/tmp/cut.json
echo "rules $(nsenter -t "$pid" -n iptables-legacy-save | grep -c 'TIKV-CHAOS.*DROP')"
chaos cleanup </tmp/cut.json >/dev/null
echo "norules $(nsenter -t "$pid" -n iptables-legacy-save | grep -c TIKV-CHAOS || true)"
echo "holders $(docker ps -aq --filter label=tikv-chaos.role=holder | wc -l)"
docker rm -f tikv0 tikv1 >/dev/null
