//! Files, as a client gets them.

use std::fs;

use tidegate_testkit::http::{self, Client};

use crate::node::Running;

/// A gateway that serves a folder with a few files; the folder lives as long as what is returned.
fn files() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("html")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(folder.path().join("html/a.txt"), "0123456789").unwrap();
    fs::write(folder.path().join("html/index.html"), "<p>").unwrap();
    let root = folder.path().join("html");
    let running =
        Running::start(&format!("routes: [{{ static: {{ root: {:?} }} }}]", root.display().to_string()));
    (folder, running)
}

#[test]
fn a_file_comes_with_its_type_and_is_not_sent_twice() {
    let (_folder, running) = files();
    let answer = http::get(running.addr(), "/a.txt");
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert_eq!(http::get(running.addr(), "/").text(), "<p>");
    let tag = answer.header("ETag").unwrap();
    let mut client = Client::connect(running.addr()).unwrap();
    let again = client.request("GET", "/a.txt", &[("If-None-Match", tag)], b"").unwrap();
    assert_eq!((again.status, again.text()), (304, ""));
}

#[test]
fn a_part_of_a_file_can_be_asked_for() {
    let (_folder, running) = files();
    let mut client = Client::connect(running.addr()).unwrap();
    let mut part = |range| client.request("GET", "/a.txt", &[("Range", range)], b"").unwrap();
    let middle = part("bytes=2-4");
    assert_eq!((middle.status, middle.text()), (206, "234"));
    assert_eq!(middle.header("Content-Range"), Some("bytes 2-4/10"));
    assert_eq!(part("bytes=-3").text(), "789");
    assert_eq!(part("bytes=10-").status, 416);
}

#[test]
fn a_folder_has_a_slash_at_its_end() {
    let (folder, running) = files();
    fs::create_dir(folder.path().join("html/a folder")).unwrap();
    fs::write(folder.path().join("html/a folder/index.html"), "<b>").unwrap();
    let mut client = Client::connect(running.addr()).unwrap();
    let answer = client.get("/a%20folder?b=c").unwrap();
    assert_eq!((answer.status, answer.text()), (301, ""));
    assert_eq!(answer.header("Location"), Some("/a%20folder/?b=c"));
    assert_eq!(client.get("/a%20folder/").unwrap().text(), "<b>");
}

#[test]
fn what_is_no_file_below_the_root_is_not_found() {
    let (_folder, running) = files();
    assert_eq!(http::get(running.addr(), "/b.txt").status, 404);
    assert_eq!(http::get(running.addr(), "/%2e%2e/secret").status, 400);
    assert_eq!(http::get(running.addr(), "/x/..%2f..%2fsecret").status, 400);
}
