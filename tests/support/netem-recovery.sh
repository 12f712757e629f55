# After guest-node.sh: what is left behind and known by its record or by its mark alone, what is not ours, and the rules of
# iptables-legacy.
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

node tikv0
chaos inject network_partition --force --target tikv1 --json >/tmp/cut.json
echo "rules $(nsenter -t "$pid" -n iptables-legacy-save | grep -c 'TIKV-CHAOS.*DROP')"
chaos cleanup </tmp/cut.json >/dev/null
chaos cleanup </tmp/cut.json >/dev/null
echo "norules $(nsenter -t "$pid" -n iptables-legacy-save | grep -c TIKV-CHAOS || true)"
echo "holders $(docker ps -aq --filter label=tikv-chaos.role=holder | wc -l)"
