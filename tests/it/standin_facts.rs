//! What the stand-in prints, held against what is known of TiKV and PD.

use support::standin::Standin;
use tikv_chaos::cluster::assumed::check;
use tikv_chaos_core::Version;

#[test]
fn standin_prints_only_series_that_its_version_has() {
    let cluster = Standin::start();
    cluster.wait_healthy();
    let version = Some(Version::new(8, 5, 5));
    for name in ["tikv0", "pd0"] {
        let (_, text) = cluster.status(name, "/metrics").unwrap();
        let ours = |line: &&str| ["tikv_", "pd_", "process_"].iter().any(|start| line.starts_with(start));
        let wrong: Vec<String> =
            text.lines().filter(ours).filter_map(|line| check::series(line, version).err()).collect();
        assert_eq!(wrong, [""; 0], "{name}");
    }
}
