# The holder's image, for hosts where tikv-chaos cannot make it itself: those that are not Linux, or that have no tc and
# iptables. Build it on or for the Docker host, with a Linux build of tikv-chaos beside this file, and name it:
#
#   docker build -f assets/holder.Dockerfile -t my-holder target/x86_64-unknown-linux-gnu/release
#   tikv-chaos --holder-image my-holder
FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends iproute2 iptables \
 && rm -rf /var/lib/apt/lists/*
COPY tikv-chaos /tikv-chaos
ENTRYPOINT ["/tikv-chaos"]
CMD ["holder"]
