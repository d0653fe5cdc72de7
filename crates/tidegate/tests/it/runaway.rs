//! Lua that runs away again and again has less time for it.

use tidegate_testkit::{Tidegate, eventually, http};

use crate::{PATIENCE, TIDEGATE};

/// A route that runs away or takes some time of the processor where it is asked to, and another.
const CONFIG: &str = "
listeners: [{ address: '{listen}' }]
admin: { address: '{admin}' }
workers: 1
lua: { budget: { cpu: {budget} } }
routes:
  - name: hog
    match: { path: /hog }
    lua:
      content: |
        if ngx.var.arg_hog then while true do end end
        local till = os.clock() + (tonumber(ngx.var.arg_takes) or 0)
        while os.clock() < till do end
        ngx.say('fine')
  - { name: other, match: { path: /other }, lua: { content: 'while true do end' } }
";

fn start(budget: &str) -> Tidegate {
    Tidegate::setup(TIDEGATE).start(&CONFIG.replace("{budget}", budget))
}

/// Asks for what is cut off, and says how many runs have been told so of this route and all others.
fn cut_off(tidegate: &Tidegate, path: &str, message: &str, times: usize) {
    assert_eq!(http::get(tidegate.addr(), path).status, 500, "{path}");
    eventually(PATIENCE, message, || tidegate.stderr().matches(message).count() == times);
}

#[test]
fn who_was_cut_off_twice_has_less_until_the_script_is_another() {
    let (usual, less) =
        ("CPU budget of 300ms used up\"", "CPU budget of 100ms used up, which is 300ms where");
    let tidegate = start("300ms");
    cut_off(&tidegate, "/hog?hog=1", usual, 1);
    cut_off(&tidegate, "/hog?hog=1", usual, 2);
    for times in 1..=3 {
        cut_off(&tidegate, "/hog?hog=1", less, times);
        assert_eq!(http::get(tidegate.addr(), "/hog").text(), "fine\n");
    }
    cut_off(&tidegate, "/other", usual, 3);
    assert_eq!(tidegate.stderr().matches("Lua runs away").count(), 1, "{}", tidegate.stderr());

    tidegate.rewrite_config(&CONFIG.replace("{budget}", "300ms").replace("'fine'", "'changed'"));
    eventually(PATIENCE, "the script is another", || {
        http::get(tidegate.addr(), "/hog").text() == "changed\n"
    });
    cut_off(&tidegate, "/hog?hog=1", usual, 4);
}

#[test]
fn what_took_long_and_came_to_its_end_still_may() {
    let tidegate = start("300ms");
    let honest = || http::get(tidegate.addr(), "/hog?takes=0.15");
    assert_eq!(honest().text(), "fine\n");
    cut_off(&tidegate, "/hog?hog=1", "CPU budget of", 1);
    cut_off(&tidegate, "/hog?hog=1", "CPU budget of", 2);
    assert_eq!(honest().text(), "fine\n");
    cut_off(&tidegate, "/hog?hog=1", "CPU budget of", 3);
    assert_eq!(tidegate.stderr().matches("CPU budget of 100ms").count(), 0, "{}", tidegate.stderr());
}
