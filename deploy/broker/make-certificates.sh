#!/bin/sh
# A CA and a certificate for the broker: make-certificates.sh FOLDER HOST [DAYS]. Keys are readable by their owner alone.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 FOLDER HOST [DAYS]" >&2; exit 2; }
folder=$1 host=$2 days=${3:-825}
umask 077
mkdir -p "$folder"
cd "$folder"
case $host in *[!0-9.]*) name="DNS:$host" ;; *) name="IP:$host" ;; esac
[ -e ca.key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj "/CN=Maskwatch CA" -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$host" \
    -keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$name" >extensions
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile extensions \
    -out server.crt 2>/dev/null
rm server.csr extensions
chmod 0644 ca.crt server.crt
echo "$folder: ca.crt for devices (mqtt.tls.ca_file), server.crt and server.key for the broker"
