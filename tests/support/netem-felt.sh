# After guest-node.sh: real netem, felt, composed and taken back.
echo "before $(connect)"
chaos inject latency --force --target tikv1 --min-ms 600 --max-ms 800 --json >/tmp/one.json
echo "during $(connect) $(connect) $(connect)"
echo "qdisc $(qdisc)"

chaos inject latency --force --target tikv1 --min-ms 100 --max-ms 300 --json >/tmp/two.json
echo "both $(qdisc)"
chaos cleanup </tmp/one.json >/dev/null
echo "second $(qdisc)"
chaos cleanup </tmp/two.json >/dev/null
echo "after $(connect)"
echo "clean $(qdisc)"
