//! Instances that commands drive: started, found again, lost, taken away, and nobody else's.

use std::{fs, path::Path};

use crate::world::{Folder, PROGRAM, World, config, get, gone, is_alive, run_in, until};

/// One command for all: `driver.sh ACTION FOLDER PROGRAM`. A file in the folder is an instance; a file in `wishes` makes
/// things go wrong.
const DRIVER: &str = r#"
action=$1 dir=$2 program=$3
read -r order
field() { printf '%s' "$order" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
owner=$(field owner) fleet=$(field fleet) instance=$(field instance) revision=$(field revision)
echo "$action $instance" >> "$dir/log"
mkdir -p "$dir/up" "$dir/wishes"
if [ -e "$dir/wishes/fail-$action" ]; then echo "as wished" >&2; exit 7; fi
case $action in
start)
  if [ ! -e "$dir/up/$instance" ]; then
    port=$(cat "$dir/ports" | head -1); sed -i 1d "$dir/ports"
    setsid "$program" serve "$port" pid > /dev/null 2>&1 &
    echo "{\"instance\":\"$instance\",\"owner\":\"$owner\",\"fleet\":\"$fleet\",\"revision\":\"$revision\",\"endpoint\":\"127.0.0.1:$port\"}" > "$dir/new"
    echo $! > "$dir/$instance.pid"
    mv "$dir/new" "$dir/up/$instance"
  fi
  [ -e "$dir/wishes/fail-after-start" ] && { echo "half done" >&2; exit 8; }
  [ -e "$dir/wishes/silent" ] || cat "$dir/up/$instance" ;;
stop)
  [ -e "$dir/$instance.pid" ] && kill "$(cat "$dir/$instance.pid")" 2> /dev/null
  rm -f "$dir/up/$instance" ;;
list)
  comma= ; printf '{"instances":['
  for file in "$dir"/up/* "$dir"/foreign; do
    [ -e "$file" ] && { printf '%s' "$comma"; cat "$file"; comma=,; }
  done
  printf ']}' ;;
esac
"#;

/// A folder with the driver and free ports, and a configuration for `count` instances.
fn folder(count: u32) -> Folder {
    let folder = Folder::new("", "");
    folder.write("driver.sh", DRIVER);
    let ports: Vec<_> = (0..24).map(|_| tidegate_testkit::free_port().to_string()).collect();
    folder.write("ports", &(ports.join("\n") + "\n"));
    folder.write("tidegate.yaml", &exec_config(folder.path(), count, "a"));
    folder
}

fn exec_config(folder: &Path, count: u32, setting: &str) -> String {
    let folder = folder.display();
    let command =
        |action: &str| format!("[sh, \"{folder}/driver.sh\", {action}, \"{folder}\", \"{PROGRAM}\"]");
    let (start, stop, list) = (command("start"), command("stop"), command("list"));
    // One at a time: the ports of the test are a plain file.
    let exec = format!(
        "{{ exec: {{ start: {start}, stop: {stop}, list: {list}, interval: 100ms, parallel: 1, owner: us, settings: {{ image: {setting} }} }} }}"
    );
    config(&exec, &format!("    ready: {{ timeout: 1m }}\n    scale: {{ min: {count}, max: {count} }}\n"))
}

fn log(folder: &Path) -> Vec<String> {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().filter(|line| !line.starts_with("list")).map(str::to_owned).collect()
}

fn wish(world: &World, what: &str) {
    fs::create_dir_all(world.folder.path().join("wishes")).unwrap();
    fs::write(world.folder.path().join("wishes").join(what), "").unwrap();
}

fn unwish(world: &World, what: &str) {
    fs::remove_file(world.folder.path().join("wishes").join(what)).unwrap();
}

/// Waits until so many instances are ready and no other is there; returns their process ids.
async fn ready(world: &World, count: usize) -> Vec<u32> {
    let endpoints = until(&format!("{count} ready"), || {
        let known = world.fleet().instances.len();
        let endpoints = world.endpoints();
        (endpoints.len() == count && known == count).then_some(endpoints)
    })
    .await;
    let mut pids = Vec::new();
    for endpoint in &*endpoints {
        pids.push(get(endpoint.address.ip().unwrap()).await.parse().unwrap());
    }
    pids.sort_unstable();
    pids
}

/// Ends everything: the fleet leaves the configuration, and what is left of it drains.
async fn clear(world: &World, pids: &[u32]) {
    let none = "listeners: [{ address: 127.0.0.1:0 }]\nadmin: { address: 127.0.0.1:0 }\n";
    world.configure(none).await;
    until("the fleet is gone", || world.handle.view().fleets.is_empty().then_some(())).await;
    pids.iter().copied().for_each(gone);
    assert_eq!(fs::read_dir(world.folder.path().join("up")).unwrap().count(), 0);
}

#[test]
fn what_a_successor_looks_after_is_left_to_it() {
    let folder = folder(2);
    let ending = exec_config(folder.path(), 2, "a").replace("owner: us", "owner: us, onExit: stop");
    folder.write("tidegate.yaml", &ending);
    let (pids, folder) = run_in(folder, async |world| {
        let pids = ready(world, 2).await;
        world.handle.entrust();
        pids
    });
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    let (again, _) = run_in(folder, async |world| ready(world, 2).await);
    assert_eq!(again, pids);
    pids.into_iter().for_each(gone);
}

#[test]
fn instances_outlive_the_gateway_and_are_found_again() {
    let (first, folder) = run_in(folder(3), async |world| {
        assert_eq!(world.fleet().instances.len(), 0, "nothing is there before it is known what there is");
        ready(world, 3).await
    });
    assert!(first.iter().all(|&pid| is_alive(pid)), "they are left as they are");
    let starts = log(folder.path());
    assert_eq!(starts.len(), 3, "{starts:?}");
    let (again, folder) = run_in(folder, async |world| ready(world, 3).await);
    assert_eq!((again, log(folder.path())), (first.clone(), starts), "the same, and no command but `list`");
    // One died meanwhile, and one more is there than is wanted.
    let lost = fs::read_dir(folder.path().join("up")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&lost).unwrap();
    let id = lost.file_name().unwrap().to_str().unwrap();
    let pid = fs::read_to_string(folder.path().join(format!("{id}.pid"))).unwrap();
    crate::world::kill(pid.trim().parse().unwrap());
    folder.write("tidegate.yaml", &exec_config(folder.path(), 1, "a"));
    run_in(folder, async |world| {
        let left = ready(world, 1).await;
        assert!(first.contains(&left[0]), "no new one was started");
        clear(world, &left).await;
    });
}

#[test]
fn what_belongs_to_others_is_never_touched() {
    let folder = folder(1);
    folder.write(
        "foreign",
        r#"{"instance":"f-1","owner":"them","fleet":"f"},{"instance":"f-2","owner":"us","fleet":"other"}"#,
    );
    run_in(folder, async |world| {
        let pids = ready(world, 1).await;
        clear(world, &pids).await;
        let log = log(world.folder.path());
        assert!(log.iter().all(|line| !line.ends_with(" f-1") && !line.ends_with(" f-2")), "{log:?}");
    });
}

#[test]
fn what_is_no_longer_listed_is_replaced() {
    run_in(folder(2), async |world| {
        let pids = ready(world, 2).await;
        let ids: Vec<_> = world.fleet().instances.iter().map(|one| one.id.clone()).collect();
        fs::remove_file(world.folder.path().join("up").join(ids[0].as_str())).unwrap();
        world.until("one failed", |fleet| fleet.last_failure.is_some()).await;
        let failure = world.fleet().last_failure.unwrap();
        assert_eq!((failure.instance, failure.reason.as_str()), (ids[0].clone(), "it is no longer listed"));
        let after = ready(world, 2).await;
        assert_ne!(pids, after);
        clear(world, &after).await;
        // The one that the list forgot was nobody's any more.
        for pid in pids.into_iter().filter(|&pid| is_alive(pid)) {
            crate::world::kill(pid);
        }
    });
}

#[test]
fn a_list_that_fails_changes_nothing() {
    run_in(folder(2), async |world| {
        let pids = ready(world, 2).await;
        wish(world, "fail-list");
        let fleet = world.until("it is said", |fleet| fleet.last_failure.is_some()).await;
        let reason = fleet.last_failure.unwrap().reason;
        assert!(reason.starts_with("instances cannot be listed: "), "{reason}");
        assert!(reason.ends_with("exited with status 7: as wished"), "{reason}");
        assert_eq!(ready(world, 2).await, pids);
        unwish(world, "fail-list");
        clear(world, &pids).await;
    });
}

#[test]
fn a_start_that_fails_half_way_leaves_nothing_behind() {
    let folder = folder(1);
    fs::create_dir(folder.path().join("wishes")).unwrap();
    fs::write(folder.path().join("wishes/fail-after-start"), "").unwrap();
    run_in(folder, async |world| {
        let fleet = world.until("it failed", |fleet| fleet.last_failure.is_some()).await;
        let reason = fleet.last_failure.unwrap().reason;
        assert!(reason.ends_with("exited with status 8: half done"), "{reason}");
        unwish(world, "fail-after-start");
        let pids = ready(world, 1).await;
        assert_eq!(fs::read_dir(world.folder.path().join("up")).unwrap().count(), 1);
        clear(world, &pids).await;
    });
}

#[test]
fn a_stop_that_fails_is_tried_again_and_the_list_may_say_where_an_instance_is() {
    let folder = folder(2);
    fs::create_dir(folder.path().join("wishes")).unwrap();
    fs::write(folder.path().join("wishes/silent"), "").unwrap();
    run_in(folder, async |world| {
        let pids = ready(world, 2).await;
        wish(world, "fail-stop");
        world.configure(&exec_config(world.folder.path(), 1, "a")).await;
        until("a stop was tried", || {
            log(world.folder.path()).iter().any(|line| line.starts_with("stop")).then_some(())
        })
        .await;
        assert_eq!(world.instances("draining").len(), 1);
        unwish(world, "fail-stop");
        let left = ready(world, 1).await;
        assert!(pids.contains(&left[0]));
        clear(world, &pids).await;
    });
}

#[test]
fn what_will_be_taken_away_is_replaced_ahead_of_it() {
    run_in(folder(2), async |world| {
        let pids = ready(world, 2).await;
        let id = world.fleet().instances[0].id.clone();
        let file = world.folder.path().join("up").join(id.as_str());
        let told = fs::read_to_string(&file).unwrap().replace("\"owner\"", "\"leaving\":true,\"owner\"");
        world.folder.write("told", &told);
        fs::rename(world.folder.path().join("told"), &file).unwrap();
        world.until("it left", |fleet| fleet.instances.iter().all(|one| one.id != id)).await;
        let after = ready(world, 2).await;
        assert_eq!(after.iter().filter(|pid| pids.contains(pid)).count(), 1);
        clear(world, &after).await;
    });
}

#[test]
fn other_settings_replace_instances_also_those_of_an_earlier_gateway() {
    let (old, folder) = run_in(folder(2), async |world| ready(world, 2).await);
    folder.write("tidegate.yaml", &exec_config(folder.path(), 2, "b"));
    run_in(folder, async |world| {
        world
            .until("all are new", |fleet| {
                let ready = fleet.instances.iter().filter(|one| one.state == "ready").count();
                ready == 2 && fleet.instances.len() == 2 && old.iter().all(|&pid| !is_alive(pid))
            })
            .await;
        let pids = ready(world, 2).await;
        clear(world, &pids).await;
    });
}
