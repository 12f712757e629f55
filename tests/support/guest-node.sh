# Runs inside the guest, before another script: a node, and what reads the kernel beside it.
# The others print `name value` lines that the test reads.
set -eu
export HOME=/tmp/home STATE=/tmp/state
mkdir -p "$HOME" /tmp/root/usr/bin
cp -L --parents $(ldd /usr/bin/etcd | grep -o '/[^ ]*') /tmp/root
cp /usr/bin/etcd /tmp/root/tikv-server
tar -C /tmp/root -c . | docker import --change 'ENTRYPOINT ["/tikv-server"]' - node >/dev/null
docker network create lab >/dev/null
node() {
    docker run -d --name "$1" --network lab node --data-dir=/tmp/db \
        --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$1:2379" >/dev/null
}
node tikv1
ip=$(docker inspect -f '{{.NetworkSettings.Networks.lab.IPAddress}}' tikv1)
pid=$(docker inspect -f '{{.State.Pid}}' tikv1)

chaos() { "$PRODUCT" "$@" --state-dir "$STATE"; }
qdisc() { nsenter -t "$pid" -n tc qdisc show dev eth0 | tr '\n' ' '; }
# Milliseconds that a TCP connect takes: its answer leaves the node through the qdisc.
connect() { bash -c 'TIMEFORMAT=%3R; time exec 3<>/dev/tcp/'"$ip"'/2379' 2>&1 | tr -d .; }
until connect >/dev/null 2>&1 && [ "$(connect)" -lt 5000 ]; do :; done
