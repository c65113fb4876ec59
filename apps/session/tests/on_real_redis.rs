//! The built app against six real Redis servers, over HTTP.

mod stage;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use stage::{Browser, Page, Stage, pause};

#[test]
fn a_session_lives_where_its_page_says_hashed_and_ends_when_it_is_told_to() {
    let stage = Stage::new(81, &[("SESSION_SIGN_INS_PER_MINUTE", "8")]);
    let mut ada = stage.browser();
    let page = ada.sign_in("ada");
    assert_eq!(page.code, 303, "{page:?}");
    for attribute in ["; path=/", "; httponly", "; samesite=lax", "; max-age=43200"] {
        assert!(page.head.contains(attribute), "{attribute}");
    }
    let home = ada.get("/");
    assert_eq!(home.text("user"), "ada");
    let (key, master) = (home.text("key"), stage.number(&home.text("master")));
    assert_eq!(home.text("master-node"), format!("node-{}", master % 3 + 1));
    assert_eq!(home.text("master-pod"), format!("pod-{master}"));
    assert_eq!(home.text("shard"), (master % 3 + 1).to_string());
    assert!(stage.ask(master, &["hget", &key, "user"]).contains("ada"));
    let token = ada.cookie.split_once('=').unwrap().1.to_owned();
    for server in 0..6 {
        assert!(!stage.ask(server, &["keys", "*"]).contains(&token), "the token itself reaches no server");
    }
    assert!(!stage.log().contains(&token) && !stage.log().contains(stage::PASSWORD), "no secret is logged");

    let before = ada.cookie.clone();
    assert_eq!(ada.sign_in("ada").code, 303);
    assert_ne!(ada.cookie, before, "a sign-in gives another token");
    let mut old = Browser { cookie: before, ..ada.clone() };
    assert_eq!(old.get("/").code, 303, "and the one before is no more");

    let (mut second, mut bob) = (stage.browser(), stage.browser());
    second.sign_in("ada");
    bob.sign_in("bob");
    let home = second.get("/");
    assert_eq!(home.body.matches("name=\"session\" value=").count(), 3, "two sessions, and the button for the others");
    let foreign = bob.get("/").text("key").replace("session:", "");
    let secret = home.form_secret();
    second.post("/sessions/end", &format!("form_secret={secret}&session={foreign}"));
    assert_eq!(bob.get("/").code, 200, "nobody ends another's session");
    assert_eq!(second.post("/sign-out-everywhere", &format!("form_secret={secret}")).code, 303);
    assert_eq!((ada.get("/").code, second.get("/").code, bob.get("/").code), (303, 303, 200));
    assert!(!stage.ask(master, &["exists", &key]).contains('1'));
}

#[test]
fn what_another_site_or_a_guesser_sends_is_refused() {
    let stage = Stage::new(82, &[("SESSION_SIGN_INS_PER_MINUTE", "3")]);
    let mut ada = stage.browser();
    let wrong = ada.post("/sign-in", "name=ada&password=wrong");
    assert_eq!((wrong.code, wrong.body.contains("The name or the password is wrong.")), (401, true));
    let nobody = ada.post("/sign-in", "name=nobody&password=wrong");
    assert_eq!((nobody.code, nobody.body.contains("The name or the password is wrong.")), (401, true));
    assert_eq!(ada.sign_in("ada").code, 303);
    let secret = ada.get("/").form_secret();
    let evil = ada.send("POST", "/sign-out-everywhere", &format!("form_secret={secret}"), &[("Origin", "http://evil")]).unwrap();
    assert_eq!(evil.code, 403);
    ada.clone().post("/sign-out-everywhere", "form_secret=guessed");
    assert_eq!(ada.get("/").code, 200, "a form without the session's secret changes nothing");
    ada.clone().post("/sign-in", "name=ada&password=wrong");
    let limited = ada.clone().post("/sign-in", "name=ada&password=wrong");
    assert_eq!((limited.code, limited.head.contains("retry-after: 60")), (429, true));
    let page = ada.get("/");
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "cache-control: no-store",
    ] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
    assert!(ada.get("/metrics").body.contains("session_sign_ins_total 1"));
}

#[test]
fn no_acknowledged_session_is_lost_when_masters_die_and_none_fails_when_they_hand_over() {
    let mut stage = Stage::new(83, &[("SESSION_SIGN_INS_PER_MINUTE", "100000")]);
    let load = Load::start(&stage, 4);
    pause(500);
    let failed_before = load.failed();
    for (from, to) in [(0, 3), (1, 4), (2, 5)] {
        assert!(stage.ask(to, &["cluster", "failover"]).contains("OK"));
        pause(700);
        assert!(stage.ask(to, &["role"]).starts_with("master"), "{from} hands over to {to}");
    }
    assert_eq!(load.failed(), failed_before, "no request fails during a hand-over: {}", stage.log());
    stage.kill(3);
    pause(5000);
    stage.restart(3);
    pause(3000);
    let signed_in = load.stop();
    assert!(signed_in.len() > 20, "{}", signed_in.len());
    let lost = signed_in.into_iter().filter(|browser| browser.clone().get("/").code != 200).count();
    assert_eq!(lost, 0, "{}", stage.log());
    (0..6).for_each(|number| stage.kill(number));
    let mut somebody = stage.browser();
    assert_eq!(somebody.get("/readyz").code, 200, "who is ready stays ready, for a clear page");
    let away: Page = somebody.sign_in("ada");
    assert_eq!((away.code, away.body.contains("Back in a moment")), (503, true));
}

/// Browsers that sign in, one after the other, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    signed_in: Arc<Mutex<Vec<Browser>>>,
    failed: Arc<Mutex<Vec<u16>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(stage: &Stage, at_once: usize) -> Self {
        let (stop, signed_in, failed) = <(Arc<AtomicBool>, Arc<Mutex<Vec<Browser>>>, Arc<Mutex<Vec<u16>>>)>::default();
        let threads = (0..at_once).map(|_| {
            let (stop, signed_in, failed, fresh) =
                (Arc::clone(&stop), Arc::clone(&signed_in), Arc::clone(&failed), stage.browser());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut browser = fresh.clone();
                    let page = browser.sign_in("ada");
                    match page.code {
                        303 => signed_in.lock().unwrap().push(browser),
                        code => failed.lock().unwrap().push(code),
                    }
                    pause(50);
                }
            })
        });
        Self { threads: threads.collect(), stop, signed_in, failed }
    }

    fn failed(&self) -> usize {
        self.failed.lock().unwrap().len()
    }

    fn stop(self) -> Vec<Browser> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let all = self.signed_in.lock().unwrap().clone();
        // The app keeps fifty of one user; those that came at the same time it may put in another order than they were answered in.
        all.into_iter().rev().take(40).collect()
    }
}
