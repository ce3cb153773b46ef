use super::node::{Node, NodeId};

/// Nodes per piece: the slab grows by pieces, so that growing never moves a node.
const PIECE: usize = 1 << 10;

/// All nodes by number. Numbers of nodes that are gone are used again.
#[derive(Debug, Default)]
pub(super) struct Slab {
    pieces: Vec<Vec<Option<Node>>>,
    vacant: Vec<NodeId>,
    len: usize,
}

impl Slab {
    /// Stores `node`. `None`, and the node is dropped, if 2^32 - 1 nodes are there already.
    pub(super) fn insert(&mut self, node: Node) -> Option<NodeId> {
        let id = match self.vacant.pop() {
            Some(id) => {
                *self.slot_mut(id)? = Some(node);
                id
            }
            None => {
                let id = NodeId(self.slots());
                if id == NodeId::NONE {
                    return None;
                }
                match self.pieces.last_mut() {
                    Some(piece) if piece.len() < PIECE => piece.push(Some(node)),
                    _ => {
                        let mut piece = Vec::with_capacity(PIECE);
                        piece.push(Some(node));
                        self.pieces.push(piece);
                    }
                }
                id
            }
        };
        self.len += 1;
        Some(id)
    }

    /// Takes a node out.
    pub(super) fn remove(&mut self, id: NodeId) -> Option<Node> {
        let node = self.slot_mut(id)?.take()?;
        self.vacant.push(id);
        self.len -= 1;
        Some(node)
    }

    /// The node whose number the tree holds.
    #[expect(clippy::expect_used, reason = "the tree drops a node's number with the node")]
    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        self.slot_mut(id).and_then(Option::as_mut).expect("a node that the tree refers to")
    }

    /// The node whose number the tree holds.
    #[expect(clippy::expect_used, reason = "the tree drops a node's number with the node")]
    pub(super) fn get(&self, id: NodeId) -> &Node {
        self.peek(id).expect("a node that the tree refers to")
    }

    /// The node in this place, if there is one.
    pub(super) fn peek(&self, id: NodeId) -> Option<&Node> {
        self.pieces.get(id.0 as usize / PIECE)?.get(id.0 as usize % PIECE)?.as_ref()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, taken or vacant.
    pub(super) fn slots(&self) -> u32 {
        let full = self.pieces.len().saturating_sub(1) * PIECE;
        u32::try_from(full + self.pieces.last().map_or(0, Vec::len)).unwrap_or(u32::MAX)
    }

    fn slot_mut(&mut self, id: NodeId) -> Option<&mut Option<Node>> {
        self.pieces.get_mut(id.0 as usize / PIECE)?.get_mut(id.0 as usize % PIECE)
    }
}
