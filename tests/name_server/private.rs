//! Private zones: catalogs, which nobody gets an answer about but those who may transfer them.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use shoestring::dns::{TransferClient, ZoneConfig};

use super::network::{Server, code_for, primary};

#[tokio::test]
async fn a_private_zone_is_no_business_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "127.0.0.1").await;
    let friend = TransferClient::at("127.0.0.2".parse().unwrap());
    let catalog = ZoneConfig {
        is_private: true,
        transfer_to: Arc::new([friend].into()),
        ..primary("catalog.example", 1, "version TXT 2")
    };
    server.set([catalog.clone(), primary("ours.example", 1, "")]).await;
    let refused = ResponseCode::Refused;
    for (client, zone, wanted) in [
        ("127.0.0.2", "catalog.example", ResponseCode::NoError),
        ("127.0.0.1", "catalog.example", ResponseCode::NoError),
        ("127.0.0.3", "catalog.example", refused),
        ("127.0.0.3", "version.Catalog.example", refused),
        ("127.0.0.3", "ours.example", ResponseCode::NoError),
        ("127.0.0.3", "example", refused),
    ] {
        assert_eq!(code_for(client, server.address, zone).await, Some(wanted), "{client} about {zone}");
    }
    server.set([ZoneConfig { is_private: false, ..catalog.clone() }]).await;
    assert_eq!(code_for("127.0.0.3", server.address, "catalog.example").await, Some(ResponseCode::NoError));
    server.set([catalog]).await;
    server.remove("catalog.example").await;
    server.set([primary("catalog.example", 1, "")]).await;
    let answer = code_for("127.0.0.3", server.address, "catalog.example").await;
    assert_eq!(answer, Some(ResponseCode::NoError), "what was private goes with the zone");
}
