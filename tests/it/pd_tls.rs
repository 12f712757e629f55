//! PD over TLS with certificates on both sides, and what is said where one of them is not right.

use support::{
    Program, docker_is_here,
    fake::Fake,
    http::{Server, healthy_pd},
    tls::{Authority, Signed},
};
use tikv_chaos::cluster::{
    http::{Client, HttpError, Place},
    tls::Tls,
};

const VERSION: &str = "/pd/api/v1/version";

fn client(ca: &Authority, own: Option<&Signed>) -> Client {
    let (cert, key) = (own.map(|own| own.cert.as_path()), own.map(|own| own.key.as_path()));
    Client::new(Tls::from_files(Some(&ca.file()), cert, key).unwrap())
}

async fn ask(client: &Client, port: u16) -> Result<u16, HttpError> {
    let place = Place { address: format!("127.0.0.1:{port}"), name: "pd0".into() };
    client.get(&place, VERSION).await.map(|answer| answer.status)
}

#[tokio::test]
async fn pd_tls_checks_certificates_on_both_sides() {
    // Of the strangers one bears the same name, as an authority made anew would.
    let (ca, strangers) = (Authority::new("one"), [Authority::new("one"), Authority::new("two")]);
    let ours = ca.sign("tikv-chaos");
    let (pd, other) = (ca.serve("pd0", healthy_pd()).await, ca.serve("pd1", healthy_pd()).await);
    let trusted = client(&ca, Some(&ours));
    assert_eq!(ask(&trusted, pd).await, Ok(200));
    assert_eq!(ask(&trusted, pd).await, Ok(200), "over the same connection");

    let said = |result: Result<u16, HttpError>| result.unwrap_err().to_string();
    let theirs = strangers.each_ref().map(|stranger| stranger.sign("tikv-chaos"));
    let wants_ours = "it wants another certificate of ours: give --pd-cert and --pd-key";
    for own in [None, Some(&theirs[0]), Some(&theirs[1])] {
        let refused = said(ask(&client(&ca, own), pd).await);
        assert!(refused.contains(wants_ours), "{refused}");
    }
    for stranger in &strangers {
        let untrusted = said(ask(&client(stranger, Some(&ours)), pd).await);
        assert!(untrusted.contains("not signed by the authority in --pd-ca"), "{untrusted}");
    }
    assert!(said(ask(&trusted, other).await).contains("its certificate is not for pd0"));
}

#[tokio::test]
async fn pd_tls_mismatch_with_plain_http_is_reported() {
    let ca = Authority::new("one");
    let pd = ca.serve("pd0", healthy_pd()).await;
    assert_eq!(ask(&Client::new(None), pd).await, Err(HttpError::SpeaksTls));
    let plain = Server::start(healthy_pd());
    assert_eq!(ask(&client(&ca, None), plain.port).await, Err(HttpError::SpeaksPlain));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_reads_pd_over_tls_with_given_certificates() {
    if !docker_is_here() {
        return;
    }
    let mut fake = Fake::start(0, 1);
    let ca = Authority::new("one");
    let port = ca.serve("pd0", healthy_pd()).await;
    let (client, advertised) =
        (format!("--client-urls=https://0.0.0.0:{port}"), "--advertise-client-urls=https://pd0:2379");
    fake.add("pd", 0, &[], &[&client, advertised]);
    let program = Program::new(Some(&fake.project));
    let ran = program.run(&["state"]);
    assert!(ran.stderr.contains("speaks TLS: give --pd-ca, --pd-cert and --pd-key"), "{ran:?}");
    let ours = ca.sign("tikv-chaos");
    let files = [ca.file(), ours.cert, ours.key].map(|path| path.to_str().unwrap().to_owned());
    let args = ["state", "--json", "--pd-ca", &files[0], "--pd-cert", &files[1], "--pd-key", &files[2]];
    assert_eq!(program.run(&args).ok().json()["region_count"], 20);
    let env = [("TIKV_CHAOS_PD_CA", &*files[0]), ("TIKV_CHAOS_PD_CERT", &*files[1]), ("TIKV_CHAOS_PD_KEY", &*files[2])];
    program.run_with(&["state"], "", &env).ok();
}
