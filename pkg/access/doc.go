// Package access tells who calls the REST API, and what they may do: by API keys that are listed in a file, and by tokens of an OpenID
// Connect issuer.
//
// An API key is random: 260 bits, made by [NewKey]. The file has its SHA-256 and not the key, so whoever reads the file cannot call. A slow
// hash, as passwords need, would add nothing: nobody guesses 260 bits, however fast. The file is read again when it changes, so that a key
// is revoked by taking its entry out. It counts when two looks in a row have found the same, so that a file that is just being written is
// not taken for a whole one. A caller may have two keys at a time, as the hashes of one entry, so that one can take the place of the other.
//
// Keys are found by their hash. How long that takes depends on the hash of what was sent, of which nobody can choose even a few bytes to
// their liking without knowing the whole, so time tells nothing about the keys that exist; the last comparison takes constant time all the same.
//
// A token is a JWT that the issuer has signed, with an asymmetric algorithm, for this API as its audience. The issuer's keys are fetched
// at the start, every quarter of an hour, and when a token names one that is not known. While the issuer is away, those that are known go
// on being used, and a token that names another one is answered with 503, without much of a wait. When it says which keys it has, be it
// none, those replace them.
package access
