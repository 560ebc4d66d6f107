// Verifies an export with the Go checksum database's own packages instead of ours: checkpoints
// with sumdb/note, tiles, inclusion and consistency with sumdb/tlog; cosignatures, of which that
// package knows nothing, by hand with crypto/ed25519. Prints what it has verified as JSON.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run verify.go DIR
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type manifest struct {
	Logs []struct {
		Origin string
		Folder string
		Size   int64
	}
	Keys []struct {
		Vkey string
		Role string
	}
}

type counts struct {
	Logs, Checkpoints, Cosignatures, Tiles, Inclusions, Consistencies, Proofs int
}

func main() {
	verified, err := verify(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(verified)
}

func verify(dir string) (*counts, error) {
	var m manifest
	data, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	verified := &counts{}
	for _, l := range m.Logs {
		v := &logVerifier{dir: filepath.Join(dir, l.Folder), origin: l.Origin, counts: verified}
		if err := v.keys(&m); err != nil {
			return nil, err
		}
		if err := v.log(l.Size); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Origin, err)
		}
		verified.Logs++
	}
	return verified, nil
}

type cosigner struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

type logVerifier struct {
	dir, origin string
	logKey      note.Verifier
	cosigners   []cosigner // author, mirror
	counts      *counts
}

func (v *logVerifier) keys(m *manifest) error {
	for _, party := range strings.Split(v.origin, "/") {
		for _, k := range m.Keys {
			if k.Role == "cosigner" && strings.HasPrefix(k.Vkey, party+"+") {
				c, err := parseCosigner(k.Vkey)
				if err != nil {
					return err
				}
				v.cosigners = append(v.cosigners, c)
			}
		}
	}
	for _, k := range m.Keys {
		if k.Role == "log" && strings.HasPrefix(k.Vkey, v.origin+"+") {
			verifier, err := note.NewVerifier(k.Vkey)
			if err != nil {
				return err
			}
			v.logKey = verifier
		}
	}
	if v.logKey == nil || len(v.cosigners) != 2 {
		return fmt.Errorf("keys missing for %s", v.origin)
	}
	return nil
}

// C2SP signed-note vkey of type 0x04, tlog-cosignature key ID.
func parseCosigner(vkey string) (cosigner, error) {
	f := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil || len(key) != 33 || key[0] != 0x04 {
		return cosigner{}, errors.New("not a cosigner's vkey: " + vkey)
	}
	h := sha256.Sum256(append([]byte(f[0]+"\n"), key...))
	if fmt.Sprintf("%x", h[:4]) != f[1] {
		return cosigner{}, errors.New("wrong key ID: " + vkey)
	}
	return cosigner{f[0], binary.BigEndian.Uint32(h[:4]), key[1:]}, nil
}

// checkpoint verifies all three signatures of a note.
func (v *logVerifier) checkpoint(msg []byte) (tlog.Tree, error) {
	n, err := note.Open(msg, note.VerifierList(v.logKey))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != v.origin {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, err
	}
	v.counts.Checkpoints++
	for _, c := range v.cosigners {
		if err := c.verify(n); err != nil {
			return tlog.Tree{}, err
		}
		v.counts.Cosignatures++
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

func (c cosigner) verify(n *note.Note) error {
	for _, s := range n.UnverifiedSigs {
		if s.Name != c.name || s.Hash != c.id {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(blob) != 4+8+64 {
			return errors.New("malformed cosignature by " + c.name)
		}
		time := binary.BigEndian.Uint64(blob[4:])
		msg := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, n.Text)
		if !ed25519.Verify(c.key, []byte(msg), blob[12:]) {
			return errors.New("cosignature does not verify: " + c.name)
		}
		return nil
	}
	return errors.New("no cosignature by " + c.name)
}

// memory holds stored hashes as package tlog numbers them.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m)) {
			return nil, errors.New("hash beyond the tree")
		}
		hashes[i] = m[index]
	}
	return hashes, nil
}

// disk reads our tiles: sumdb paths carry the tile height, C2SP paths do not.
type disk struct {
	dir  string
	read map[string]bool
}

func (d disk) Height() int                     { return 8 }
func (d disk) SaveTiles([]tlog.Tile, [][]byte) {}

func (d disk) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(d.dir, tilePath(t)))
		if err != nil {
			return nil, err
		}
		d.read[t.Path()] = true
		all = append(all, data)
	}
	return all, nil
}

func tilePath(t tlog.Tile) string {
	return strings.Replace(t.Path(), "tile/8/", "tile/", 1)
}

func (v *logVerifier) log(size int64) error {
	msg, err := os.ReadFile(filepath.Join(v.dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := v.checkpoint(msg)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if tree.N != size {
		return errors.New("the checkpoint is not of the size in the manifest")
	}

	// The tree from the entries.
	entries, err := v.entries(size)
	if err != nil {
		return err
	}
	var hashes memory
	for i, e := range entries {
		stored, err := tlog.StoredHashes(int64(i), e, hashes)
		if err != nil {
			return err
		}
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(size, hashes)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the entries have another root than the checkpoint signs")
	}

	// Every tile, recomputed.
	tiles := tlog.NewTiles(8, 0, size)
	for i, t := range tiles {
		// NewTiles lists every width that a partial tile ever had; an export holds the last.
		if i+1 < len(tiles) && tiles[i+1].L == t.L && tiles[i+1].N == t.N {
			continue
		}
		want, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(v.dir, tilePath(t)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs", tilePath(t))
		}
		v.counts.Tiles++
	}

	// Inclusion of every entry and consistency of every checkpoint, from the tiles on disk alone.
	reader := tlog.TileHashReader(tree, disk{v.dir, map[string]bool{}})
	for i, e := range entries {
		proof, err := tlog.ProveRecord(tree.N, int64(i), reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), tlog.RecordHash(e)); err != nil {
			return err
		}
		v.counts.Inclusions++
	}
	files, err := os.ReadDir(filepath.Join(v.dir, "checkpoints"))
	if err != nil {
		return err
	}
	for _, f := range files {
		msg, err := os.ReadFile(filepath.Join(v.dir, "checkpoints", f.Name()))
		if err != nil {
			return err
		}
		old, err := v.checkpoint(msg)
		if err != nil {
			return fmt.Errorf("checkpoints/%s: %w", f.Name(), err)
		}
		if f.Name() != fmt.Sprint(old.N) {
			return fmt.Errorf("checkpoints/%s is of size %d", f.Name(), old.N)
		}
		if old.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return fmt.Errorf("checkpoints/%s: %w", f.Name(), err)
		}
		v.counts.Consistencies++
	}
	return v.proofs(entries)
}

func (v *logVerifier) entries(size int64) ([][]byte, error) {
	var entries [][]byte
	for n := int64(0); n < size; n += 256 {
		t := tlog.Tile{H: 8, L: 0, N: n / 256, W: 256}
		if size-n < 256 {
			t.W = int(size - n)
		}
		path := strings.Replace(tilePath(t), "tile/0/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(v.dir, path))
		if err != nil {
			return nil, err
		}
		for len(bundle) > 0 {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return nil, errors.New(path + " is cut short")
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			entries = append(entries, bundle[2:end])
			bundle = bundle[end:]
		}
	}
	if int64(len(entries)) != size {
		return nil, fmt.Errorf("%d entries, not %d", len(entries), size)
	}
	return entries, nil
}

// proofs verifies every C2SP tlog-proof.
func (v *logVerifier) proofs(entries [][]byte) error {
	names, err := filepath.Glob(filepath.Join(v.dir, "proofs", "*.tlog-proof"))
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := v.proof(string(text), entries); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		v.counts.Proofs++
	}
	return nil
}

func (v *logVerifier) proof(text string, entries [][]byte) error {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok {
		return errors.New("no checkpoint")
	}
	lines := strings.Split(head, "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil || index >= int64(len(entries)) {
		return errors.New("no such index")
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, h)
	}
	tree, err := v.checkpoint([]byte(checkpoint))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entries[index]))
}
