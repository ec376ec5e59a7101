#!/bin/sh
# Attaches two network namespaces to one bridge and pings one from the other: sh net-demo/two.sh
# Without root, in namespaces of its own: the machine is left as it was.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${IN_DEMO:-}" ]; then
    cargo xtask dist target/cni
    IN_DEMO=1 exec unshare --user --map-root-user --net --mount sh net-demo/two.sh
fi
export CNI_PATH="$PWD/target/cni" PATH="$PWD/target/cni:/usr/sbin:/sbin:$PATH"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
ip link set lo up

cat > /run/demo.conflist <<'CONFLIST'
{
  "cniVersion": "1.1.0",
  "name": "demo",
  "plugins": [{
    "type": "bridge", "bridge": "demo0", "isGateway": true,
    "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.90.0.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }] }
  }]
}
CONFLIST

for name in blue green; do
    ip netns add $name
    sealane add /run/demo.conflist $name /run/netns/$name
done
sealane check /run/demo.conflist blue /run/netns/blue
nsenter --net=/run/netns/blue ping -c 3 -i 0.2 10.90.0.3
for name in blue green; do
    sealane del /run/demo.conflist $name /run/netns/$name
done
