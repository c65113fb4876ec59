use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a valid second")
}

fn pool() -> Pool {
    Pool::new("10.42.3.0/29".parse().expect("a network"))
}

#[test]
fn addresses_are_handed_out_in_order_and_leave_out_network_gateway_and_broadcast() {
    let mut pool = pool();
    let given: Vec<String> = (0..5).map(|n| pool.allocate(&format!("pod-{n}"), at(0)).expect("free").to_string()).collect();
    assert_eq!(given, ["10.42.3.2", "10.42.3.3", "10.42.3.4", "10.42.3.5", "10.42.3.6"]);
    assert!(matches!(pool.allocate("one-more", at(0)), Err(PodIpError::Exhausted { used: 5, resting: 0, .. })));
}

#[test]
fn a_holder_that_asks_again_gets_the_same_address() {
    let mut pool = pool();
    assert_eq!(pool.allocate("a", at(0)), pool.allocate("a", at(1)));
}

#[test]
fn an_address_rests_before_it_is_reused_and_unused_ones_go_first() {
    let mut pool = pool();
    let first = pool.allocate("a", at(0)).expect("free");
    pool.release("a", at(0));
    for n in 0..4 {
        assert_ne!(pool.allocate(&format!("b{n}"), at(1)).expect("free"), first);
    }
    assert!(pool.allocate("c", at(REUSE_DELAY_SECONDS - 1)).is_err());
    assert_eq!(pool.allocate("c", at(REUSE_DELAY_SECONDS)), Ok(first));
}

#[test]
fn a_clock_that_was_set_back_does_not_lock_addresses_away() {
    let mut pool = Pool::new("10.42.3.8/32".parse().expect("a network"));
    pool.allocate("a", at(0)).expect("free");
    pool.release("a", at(0));
    assert!(pool.allocate("b", at(-100)).is_ok());
}

#[test]
fn a_claimed_address_is_not_given_to_another() {
    let mut pool = pool();
    let ip = "10.42.3.2".parse().expect("an address");
    pool.claim(ip, "adopted").expect("free");
    assert_ne!(pool.allocate("new", at(0)), Ok(ip));
    assert!(matches!(pool.claim(ip, "thief"), Err(PodIpError::Held { .. })));
    assert!(matches!(pool.claim("10.42.3.7".parse().expect("an address"), "x"), Err(PodIpError::NotInCidr { .. })));
    assert!(matches!(pool.claim("10.9.9.9".parse().expect("an address"), "x"), Err(PodIpError::NotInCidr { .. })));
}

#[test]
fn a_pool_survives_being_written_and_read() {
    let mut pool = pool();
    pool.allocate("a", at(0)).expect("free");
    pool.allocate("b", at(0)).expect("free");
    pool.release("a", at(5));
    let text = serde_json::to_string(&pool).expect("writes");
    assert_eq!(serde_json::from_str::<Pool>(&text).expect("reads"), pool);
}

#[test]
fn ipv6_pools_work_the_same() {
    let mut pool = Pool::new("fd00:42::/64".parse().expect("a network"));
    assert_eq!(pool.allocate("a", at(0)).expect("free").to_string(), "fd00:42::2");
}

proptest! {
    #[test]
    fn no_two_holders_share_an_address_and_none_comes_back_early(steps in prop::collection::vec((0u8..12, any::<bool>(), 0i64..20), 1..200)) {
        let mut pool = Pool::new("10.42.0.0/28".parse().expect("a network"));
        let mut now = 0;
        let mut released: BTreeMap<IpAddr, i64> = BTreeMap::new();
        for (holder, take, pass) in steps {
            now += pass;
            let holder = format!("h{holder}");
            if take {
                let before = pool.address_of(&holder);
                if let Ok(ip) = pool.allocate(&holder, at(now)) {
                    if before.is_none() && let Some(then) = released.get(&ip) {
                        prop_assert!(now - then >= REUSE_DELAY_SECONDS);
                    }
                    prop_assert!(pool.cidr().contains(&ip));
                }
            } else if let Some(ip) = pool.release(&holder, at(now)) {
                released.insert(ip, now);
            }
            let holders: std::collections::BTreeSet<&str> = pool.held().map(|(_, name)| name).collect();
            prop_assert_eq!(holders.len(), pool.held().count());
        }
    }
}
