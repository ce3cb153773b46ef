use super::net::{Net, entry, sid, zx};

#[test]
fn three_servers_form_and_commit() {
    let mut net = Net::new(3, 0, 1);
    net.form(1, &[2, 3]);
    net.commit(1, 5, &[1, 2, 3]);
    assert_eq!(net.ghost.committed.len(), 5);
    let _ = (entry(1, 1), sid(1), zx(1, 1));
}
