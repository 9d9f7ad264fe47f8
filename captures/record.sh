#!/usr/bin/env bash
# Records the captures of this folder: real servers and clients in network namespaces, tcpdump between
# them. Needs root and Debian's packages, which it installs. Nothing leaves the namespaces.
#
#   sudo ./record.sh            all captures
#   sudo ./record.sh ssh web    only these
#
#    office 203.0.113.9 ──┐                    ┌── server 10.0.0.5
#                         ├── router ── bridge ┤      2001:db8:a::5
#  internet 198.51.100.7 ─┘                    └── peer   10.0.0.6
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
ns() { ip netns exec "sgr-$1" "${@:2}"; }
quiet() { "$@" >/dev/null 2>&1 || true; }

packages=(tcpdump tshark iproute2 ethtool openssh-server openssh-client sshpass nginx-light dnsmasq-base
  bind9-dnsutils vsftpd dovecot-pop3d dovecot-imapd python3 python3-aiosmtpd mariadb-server mariadb-client
  postgresql redis-server samba smbclient nmap traceroute iputils-ping curl telnet netcat-openbsd nftables
  openssl psmisc)
missing=()
for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

stop() {
  for n in server peer office internet router trunk; do
    ip netns pids "sgr-$n" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del "sgr-$n" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT
stop; mkdir -p "$work"; chmod 755 "$work"

# ── the network ───────────────────────────────────────────────────────────────────────────────────
for n in server peer office internet router; do
  ip netns add "sgr-$n"
  ns $n ip link set lo up
done
ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
# One end in a namespace as eth0, the other in the router's; checksums and segments are made before
# tcpdump sees them, as on a wire.
wire() { # namespace router-end
  ip link add eth0 netns "sgr-$1" type veth peer name "$2" netns sgr-router
  for end in "$1 eth0" "router $2"; do
    set -- $end
    quiet ns "$1" ethtool -K "$2" tx off tso off gso off gro off
    ns "$1" sysctl -qw "net.ipv6.conf.$2.accept_dad=0"
    ns "$1" ip link set "$2" up
  done
}
wire server br-server; wire peer br-peer; wire office to-office; wire internet to-internet
ns router ip link add br0 type bridge
ns router sysctl -qw net.ipv6.conf.br0.accept_dad=0
for port in br-server br-peer; do ns router ip link set $port master br0; done
ns router ip link set br0 up
address() { ns "$1" ip addr add "$3" dev "$2" ${4:-}; }
address router br0 10.0.0.1/24; address router br0 2001:db8:a::1/64 nodad
address router to-office 203.0.113.1/24; address router to-office 2001:db8:9::1/64 nodad
address router to-internet 198.51.100.1/24
host() { # namespace address gateway [address6 gateway6]
  address "$1" eth0 "$2"; ns "$1" ip route add default via "$3"
  [ -z "${4:-}" ] || { address "$1" eth0 "$4" nodad; ns "$1" ip -6 route add default via "$5"; }
}
host server 10.0.0.5/24 10.0.0.1 2001:db8:a::5/64 2001:db8:a::1
host peer 10.0.0.6/24 10.0.0.1 2001:db8:a::6/64 2001:db8:a::1
host office 203.0.113.9/24 203.0.113.1 2001:db8:9::9/64 2001:db8:9::1
host internet 198.51.100.7/24 198.51.100.1

# ── the servers ───────────────────────────────────────────────────────────────────────────────────
serve() { ip netns exec "sgr-$1" "${@:2}" >>"$work/log" 2>&1 </dev/null & }
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$work/user_key"
cp "$work/user_key.pub" "$work/authorized_keys"
cat >"$work/sshd_config" <<EOF
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile $work/sshd.pid
EOF
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=www.example.test \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
mkdir -p "$work/www"
head -c 20000 /dev/zero | tr '\0' 'x' >"$work/www/page.html"
echo ok >"$work/www/index.html"
cat >"$work/nginx.conf" <<EOF
daemon off; user root; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
  access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work;
  uwsgi_temp_path $work; scgi_temp_path $work; root $work/www;
  server { listen 80; listen 8080; listen [::]:80; }
  server { listen 443 ssl; listen [::]:443 ssl; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; }
}
EOF
mkdir -p "$work/ftp/pub" "$work/empty"; chmod 555 "$work/ftp"
head -c 4000 /dev/zero | tr '\0' 'f' >"$work/ftp/pub/file.txt"
cat >"$work/vsftpd.conf" <<EOF
listen=YES
background=NO
anonymous_enable=YES
anon_root=$work/ftp
secure_chroot_dir=$work/empty
pasv_min_port=40000
pasv_max_port=40010
seccomp_sandbox=NO
EOF
cat >"$work/dovecot.conf" <<EOF
protocols = imap pop3
listen = 10.0.0.5
base_dir = $work/dovecot
log_path = $work/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:$work/mail
first_valid_uid = 0
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$work/mail
}
EOF
mkdir -p "$work/mail"; chown nobody:nogroup "$work/mail"
mkdir -p "$work/smb"
cat >"$work/smb.conf" <<EOF
[global]
netbios name = SERVER
workgroup = EXAMPLE
interfaces = 10.0.0.5/24
bind interfaces only = yes
private dir = $work/smb
lock directory = $work/smb
state directory = $work/smb
cache directory = $work/smb
pid directory = $work/smb
ncalrpc dir = $work/smb
log file = $work/smb/log
map to guest = bad user
smb ports = 445 139
load printers = no
[pub]
path = $work/www
guest ok = yes
EOF
long=$(head -c 240 /dev/zero | tr '\0' 't')
big=(); for i in $(seq 12); do big+=(--txt-record="big.example.test,$i$long"); done
start_databases() {
  [ -e "$work/databases" ] && return; touch "$work/databases"
  mariadb-install-db --no-defaults --datadir="$work/mysql" --auth-root-authentication-method=normal \
    --skip-test-db --user=root >/dev/null 2>&1
  serve server mariadbd --no-defaults --user=root --datadir="$work/mysql" --socket="$work/mysql.sock" \
    --bind-address=10.0.0.5 --skip-name-resolve --innodb-buffer-pool-size=16M
  mkdir "$work/pg"; chown postgres "$work/pg"
  pg=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
  runuser -u postgres -- "$pg/initdb" -D "$work/pg" -A trust >/dev/null
  echo 'host all all 0.0.0.0/0 trust' >>"$work/pg/pg_hba.conf"
  serve server runuser -u postgres -- "$pg/postgres" -D "$work/pg" -h 10.0.0.5 -k "$work/pg"
  serve server redis-server --bind 10.0.0.5 --protected-mode no --save '' --dir "$work"
  for port in 3306 5432 6379; do await server 10.0.0.5 $port; done
  ns server mariadb --no-defaults -uroot -S "$work/mysql.sock" -e "CREATE USER app@'%' IDENTIFIED BY 'app'; GRANT ALL ON *.* TO app@'%'"
}
await() { for _ in $(seq 100); do quiet2 ns "$1" nc -z -w1 "$2" "$3" && return; sleep 0.2; done; echo "no server at $2:$3" >&2; exit 1; }
quiet2() { "$@" >/dev/null 2>&1; }

serve server /usr/sbin/sshd -D -e -f "$work/sshd_config"
serve server nginx -c "$work/nginx.conf"
serve server dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
  --address=/www.example.test/10.0.0.5 --edns-packet-max=4096 "${big[@]}"
serve server vsftpd "$work/vsftpd.conf"
serve server /usr/bin/python3 -m aiosmtpd -n -l 10.0.0.5:25
serve server dovecot -F -c "$work/dovecot.conf"
serve server smbd -F --no-process-group -s "$work/smb.conf"
serve server nmbd -F --no-process-group -s "$work/smb.conf"
serve peer /usr/bin/python3 -m http.server --bind 10.0.0.6 9000
for port in 22 80 53 21 25 110 143 445; do await server 10.0.0.5 $port; done

# ── recording ─────────────────────────────────────────────────────────────────────────────────────
begin() { # file namespace interface [tcpdump options]
  : >"$work/tcpdump"
  ip netns exec "sgr-$2" tcpdump -Z root -U -n -i "$3" -w "$here/$1" "${@:4}" 2>"$work/tcpdump" &
  tcpdump=$!
  for _ in $(seq 50); do grep -q 'listening on' "$work/tcpdump" && break; sleep 0.1; done
}
end() { sleep 1; kill -INT "$tcpdump"; wait "$tcpdump" 2>/dev/null || true; }
ssh_as() { ns "$1" timeout 10 ssh -i "$work/user_key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@10.0.0.5 "${@:2}"; }
guess_password() { ns "$1" timeout 10 sshpass -p "$2" ssh -o PubkeyAuthentication=no -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 root@10.0.0.5 true >/dev/null 2>&1 || true; }
drop() { # ports that the server's own firewall filters
  ns server nft add table ip f
  ns server nft add chain ip f c '{ type filter hook input priority 0; }'
  ns server nft add rule ip f c tcp dport "$1" drop
}
get() { ns "$1" timeout 10 curl -sk -o /dev/null "$2" || true; }
query() { ns "$1" dig +tries=1 +time=2 "${@:2}" >/dev/null || true; }
mysql_as() { ns "$1" timeout 10 mariadb --no-defaults --skip-ssl -h 10.0.0.5 -uapp -papp -e 'SELECT 1' >/dev/null; }
psql_as() { ns "$1" timeout 10 psql -h 10.0.0.5 -U postgres -c 'SELECT 1' >/dev/null; }
redis_as() { ns "$1" timeout 10 redis-cli -h 10.0.0.5 "${@:2}" >/dev/null; }

make_ssh() {
  begin ssh.pcap server eth0
  for password in 123456 admin root; do guess_password internet $password; done
  ssh_as office uname -a >/dev/null
  ssh_as office 'seq 200' >/dev/null
  end
}
make_web() {
  begin web.pcap server eth0
  get office http://10.0.0.5/; get office http://10.0.0.5/page.html; get internet http://10.0.0.5/
  get internet http://10.0.0.5:8080/; get internet https://10.0.0.5/page.html; get office 'http://[2001:db8:a::5]/'
  get office 'https://[2001:db8:a::5]/'
  end
}
make_pcapng() {
  ip netns exec sgr-server dumpcap -q -n -i eth0 -i lo -w "$work/web.pcapng" >/dev/null 2>&1 & dumpcap=$!
  sleep 2
  get office http://10.0.0.5/page.html; get internet https://10.0.0.5/; ns server ping -c 2 -i 0.2 127.0.0.1 >/dev/null
  sleep 1; kill -INT $dumpcap; wait $dumpcap || true; cp "$work/web.pcapng" "$here/web.pcapng"
}
make_dns() {
  begin dns.pcap server eth0
  query office @10.0.0.5 www.example.test; query office @10.0.0.5 +tcp www.example.test; query internet @10.0.0.5 nowhere.example.test
  query office @2001:db8:a::5 www.example.test
  end
}
make_fragments() {
  begin fragments.pcap server eth0
  query office @10.0.0.5 +bufsize=4096 +ignore big.example.test TXT
  ns office ping -c 2 -i 0.2 -s 4000 10.0.0.5 >/dev/null; ns office ping -6 -c 2 -i 0.2 -s 4000 2001:db8:a::5 >/dev/null
  end
}
make_ftp() {
  begin ftp.pcap server eth0
  ns office timeout 20 curl -s -o /dev/null --disable-epsv ftp://10.0.0.5/pub/file.txt
  ns office timeout 20 curl -s -o /dev/null --ftp-port - --disable-eprt ftp://10.0.0.5/pub/file.txt
  end
}
make_mail() {
  begin mail.pcap server eth0
  printf 'Subject: test\n\nhello\n' >"$work/letter"
  ns office timeout 10 curl -s --url smtp://10.0.0.5 --mail-from a@example.test --mail-rcpt b@example.test --upload-file "$work/letter" || true
  ns office timeout 10 curl -s -u b:x pop3://10.0.0.5/ >/dev/null || true
  ns office timeout 10 curl -s -u b:x imap://10.0.0.5/ >/dev/null || true
  end
}
make_databases() {
  start_databases
  begin databases.pcap server eth0
  mysql_as peer; psql_as peer; redis_as peer SET key value; redis_as peer GET key; redis_as internet DBSIZE
  end
}
make_smb() {
  begin smb.pcap server eth0
  ns office timeout 10 nmblookup -s "$work/smb.conf" -U 10.0.0.5 SERVER >/dev/null 2>&1 || true
  ns office timeout 20 smbclient -s /dev/null -N -c 'ls; get page.html /dev/null' //10.0.0.5/pub >/dev/null 2>&1 || true
  ns office timeout 20 smbclient -s /dev/null -N -p 139 -L //10.0.0.5 >/dev/null 2>&1 || true
  end
}
make_remote_desktop() {
  begin remote-desktop.pcap server eth0
  ns internet timeout 3 telnet 10.0.0.5 23 >/dev/null 2>&1 </dev/null || true
  # An RDP client's first packet: TPKT, X.224 connection request, cookie.
  printf '\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00' |
    ns internet timeout 3 nc -w 2 10.0.0.5 3389 >/dev/null 2>&1 || true
  drop '{ 3389 }'
  ns internet timeout 3 nc -w 2 10.0.0.5 3389 </dev/null >/dev/null 2>&1 || true
  ns server nft delete table ip f
  end
}
make_ping() {
  begin ping.pcap server eth0
  ns office ping -c 3 -i 0.2 10.0.0.5 >/dev/null; ns office ping -6 -c 3 -i 0.2 2001:db8:a::5 >/dev/null
  ns server ping -c 2 -i 0.2 203.0.113.9 >/dev/null
  ns office traceroute -n -q 1 10.0.0.5 >/dev/null; ns office traceroute -I -n -q 1 10.0.0.5 >/dev/null
  # A path with a smaller MTU behind the router: "fragmentation needed" comes back.
  ns router ip link set to-office mtu 1400
  get office http://10.0.0.5/page.html
  ns router ip link set to-office mtu 1500; ns server ip route flush cache
  end
}
make_scan() {
  drop '{ 3306, 5900-5910 }'
  begin scan.pcap server eth0
  ns internet nmap -n -Pn -sS -T4 --max-retries 1 -p 1-200,3306,3389,5900-5910,6379,8080 10.0.0.5 >/dev/null
  end
  ns server nft delete table ip f
}
make_midstream() {
  ns office sh -c "(for i in 1 2 3 4 5 6; do echo line \$i; sleep 1; done) | nc -w 3 10.0.0.5 80 >/dev/null" & client=$!
  (sleep 0.5; ssh_as office 'for i in 1 2 3 4; do echo $i; sleep 1; done' >/dev/null) & client2=$!
  sleep 2.5
  begin midstream.pcap server eth0
  get internet http://10.0.0.5/
  wait $client $client2 || true
  end
}
make_any() {
  begin any.pcap server any
  get office http://10.0.0.5/; get internet http://10.0.0.5:8080/; ns server curl -s -o /dev/null http://10.0.0.6:9000/
  ns server ping -c 2 -i 0.2 127.0.0.1 >/dev/null; query office @10.0.0.5 www.example.test
  end
}
make_snaplen() {
  begin snaplen-96.pcap server eth0 -s 96
  get office http://10.0.0.5/page.html; query office @10.0.0.5 www.example.test
  end
}
make_two_instances() {
  start_databases
  begin two-instances.pcap router br0
  mysql_as peer; redis_as peer PING; ns peer ping -c 2 -i 0.2 10.0.0.5 >/dev/null
  ns server curl -s -o /dev/null http://10.0.0.6:9000/; get office http://10.0.0.5/
  end
}
# A mirror session: the bridge floods every frame to all ports, one of which is a VXLAN tunnel.
make_vxlan() {
  ns router ip link add mirror type vxlan id 100 local 198.51.100.1 remote 198.51.100.7 dstport 4789
  ns router ip link set br0 type bridge ageing_time 0
  ns router ip link set mirror master br0; ns router ip link set mirror up
  begin vxlan-mirror.pcap internet eth0 udp port 4789
  get office http://10.0.0.5/page.html; ns peer ping -c 2 -i 0.2 10.0.0.5 >/dev/null; query office @10.0.0.5 www.example.test
  end
  ns router ip link del mirror; ns router ip link set br0 type bridge ageing_time 30000
}
# A trunk that carries VLAN 100. It is bridged in user space, since not every kernel can.
make_vlan() {
  ip netns add sgr-trunk
  ip link add vlan0 netns sgr-office type veth peer name host-a netns sgr-trunk
  ip link add vlan0 netns sgr-peer type veth peer name host-b netns sgr-trunk
  ns trunk ip link add trunk-a type veth peer name trunk-b
  for end in host-a host-b trunk-a trunk-b; do quiet ns trunk ethtool -K $end tx off tso off gso off gro off; ns trunk ip link set $end up; done
  for n in office peer; do quiet ns $n ethtool -K vlan0 tx off tso off gso off gro off; ns $n ip link set vlan0 up; done
  address office vlan0 172.16.0.9/24; address peer vlan0 172.16.0.6/24
  serve peer /usr/bin/python3 -m http.server --bind 172.16.0.6 --directory "$work/www" 8080
  serve trunk /usr/bin/python3 "$here/vlan_trunk.py" host-a trunk-a trunk-b host-b
  await office 172.16.0.6 8080
  begin vlan.pcap trunk trunk-a
  get office http://172.16.0.6:8080/; ns office ping -c 2 -i 0.2 172.16.0.6 >/dev/null
  end
  ns office ip link del vlan0; ns peer ip link del vlan0
}
# The story of the README: a web server that also is asked for SSH, DNS and databases.
make_story() {
  start_databases
  begin story.pcap server eth0
  get internet http://10.0.0.5/; get internet https://10.0.0.5/page.html; get office https://10.0.0.5/
  ssh_as office 'seq 50' >/dev/null
  for password in 123456 admin root; do guess_password internet $password; done
  get office http://10.0.0.5:8080/; get office 'http://[2001:db8:a::5]/'
  mysql_as peer; redis_as internet PING
  ns server curl -s -o /dev/null http://10.0.0.6:9000/
  ns office ping -c 3 -i 0.2 10.0.0.5 >/dev/null
  quiet ns internet timeout 2 telnet 10.0.0.5 23
  query office @10.0.0.5 www.example.test
  end
}

all=(ssh web pcapng dns fragments ftp mail databases smb remote_desktop ping scan midstream any snaplen two_instances vxlan vlan story)
[ $# -gt 0 ] && all=("$@")
for name in "${all[@]}"; do echo "recording $name"; "make_${name//-/_}"; done
ls -l "$here"/*.pcap*
