package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// keyPrefix makes a key that has got into a file or a log recognisable, for people and for programs that look for secrets:
// orderflow_[A-Z2-7]{52}.
const keyPrefix = "orderflow_"

const hashPrefix = "sha256:"

// hash is the SHA-256 of a key.
type hash [sha256.Size]byte

// NewKey makes an API key.
func NewKey() string { return keyPrefix + rand.Text() + rand.Text() }

// HashOf is what the file has of a key.
func HashOf(key string) string {
	sum := hashOf(key)
	return hashPrefix + hex.EncodeToString(sum[:])
}

func hashOf(key string) hash { return sha256.Sum256([]byte(key)) }

var errHash = errors.New("hash is not sha256: and 64 hexadecimal digits, or a list of such; orderflow key new prints the hash of a key that it makes")

// readHash reads what HashOf returns. Its error does not repeat what is there: it may be a key.
func readHash(text string) (sum hash, err error) {
	digits, found := strings.CutPrefix(text, hashPrefix)
	raw, err := hex.DecodeString(digits)
	if !found || err != nil || len(raw) != len(sum) {
		return sum, errHash
	}
	return hash(raw), nil
}
