//! `ngx.worker`, `ngx.config`, constants.

use crate::support::Host;

fn eval(expression: &str) -> String {
    Host::new().say(&format!("ngx.print({expression})"))
}

#[test]
fn a_worker_knows_which_it_is() {
    assert_eq!(eval("ngx.worker.id(), ' ', ngx.worker.count()"), "1 4");
    assert_eq!(eval("ngx.worker.pid()"), eval("ngx.worker.pids()[2]"));
    assert_eq!(eval("require('jit.v').on('/dev/null')"), "");
    let host = Host::new();
    host.vm.set_exiting(true);
    assert_eq!(host.say("ngx.print(ngx.worker.exiting())"), "true");
    assert_eq!(eval("ngx.worker.exiting()"), "false");
}

#[test]
fn workers_have_a_number_each_so_that_what_they_seed_differs() {
    let pid = || eval("ngx.worker.pid()");
    let other = std::thread::spawn(pid).join().unwrap();
    assert_ne!(pid(), other);
    assert_eq!(pid(), pid());
}

#[test]
fn the_configuration_is_that_of_http() {
    assert_eq!(
        eval("ngx.config.subsystem, ngx.config.debug, type(ngx.config.nginx_version)"),
        "httpfalsenumber"
    );
    assert_eq!(eval("ngx.config.prefix():sub(-1)"), "/");
    assert_eq!(eval("ngx.config.nginx_configure()"), "--with-tidegate");
}

#[test]
fn constants_have_their_numbers() {
    assert_eq!(eval("{ ngx.OK, ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED }"), "0-1-2-4-5");
    assert_eq!(
        eval("{ ngx.HTTP_GET, ngx.HTTP_HEAD, ngx.HTTP_POST, ngx.HTTP_OPTIONS, ngx.HTTP_TRACE }"),
        "24851232768"
    );
    assert_eq!(eval("{ ngx.HTTP_OK, ngx.HTTP_NOT_FOUND, ngx.HTTP_CLOSE, ngx.HTTP_ILLEGAL }"), "200404444451");
    assert_eq!(eval("ngx.null == nil, type(ngx.null), ngx.unknown"), "falseuserdatanil");
    assert_eq!(eval("require('ngx') == ngx"), "true");
}
