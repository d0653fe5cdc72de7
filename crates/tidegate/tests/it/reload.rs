//! A changed configuration, right and wrong.

use tidegate_testkit::{Tidegate, eventually, http, process::Signal};

use crate::{PATIENCE, TIDEGATE, metric};

fn config(says: &str) -> String {
    format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
routes: [{{ name: r, match: {{ path: /* }}, lua: {{ content: {says} }} }}]"
    )
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    assert_eq!(http::get(tidegate.addr(), "/").text(), "one\n");
    tidegate.rewrite_config(&config("ngx.say('two')"));
    eventually(PATIENCE, "the new answer", || http::get(tidegate.addr(), "/").text() == "two\n");
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported() {
    let tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    for bad in [config("ngx.say('one'))"), config("ngx.say('two')").replace("routes", "rotues"), "{".into()] {
        let failed = metric(&tidegate, "tidegate_config_reloads_total");
        tidegate.rewrite_config(&bad);
        tidegate.signal(Signal::HUP);
        eventually(PATIENCE, "the attempt is counted", || {
            metric(&tidegate, "tidegate_config_reloads_total") > failed
        });
        assert_eq!(http::get(tidegate.addr(), "/").text(), "one\n");
    }
    assert!(tidegate.log().contains("did you mean `routes`"), "{}", tidegate.log());
    tidegate.rewrite_config(&config("ngx.say('three')"));
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "the good file is served", || http::get(tidegate.addr(), "/").text() == "three\n");
}

#[test]
fn a_second_gateway_on_the_same_file_is_told_so() {
    let tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    let output = std::process::Command::new(TIDEGATE).arg("up").arg(tidegate.config_path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&tidegate.admin().to_string()) && said.contains("another gateway"), "{said}");
}
