use super::*;

#[test]
fn servers_are_read_from_a_resolv_conf_whatever_else_it_says() {
    let text = "# made by hand\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t192.0.2.2 # second\nnameserver fe80::1%eth0\nnameserver ::1\noptions ndots:5\nnameserver 127.0.0.1:5353\nnameserver";
    let servers: Vec<_> = parse(text).map(|server| server.to_string()).collect();
    assert_eq!(servers, ["192.0.2.1:53", "192.0.2.2:53", "[::1]:53", "127.0.0.1:5353"]);
}
