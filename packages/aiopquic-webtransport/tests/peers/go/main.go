// The peer on webtransport-go: the exchange of ../README.md, as the server or as the client.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/quic-go/webtransport-go"
)

const path = "/exchange"

var (
	port        = flag.Int("port", 0, "of the server")
	hash        = flag.String("hash", "", "SHA-256 of the server's certificate, in hexadecimal")
	certificate = flag.String("certificate", "", "the server's, PEM")
	key         = flag.String("key", "", "of the certificate, PEM")
	protocols   = flag.String("protocols", "", "subprotocols, with commas between them")
)

var printing sync.Mutex

func tell(fields map[string]any) {
	printing.Lock()
	defer printing.Unlock()
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func names() []string {
	if *protocols == "" {
		return nil
	}
	return strings.Split(*protocols, ",")
}

// closing is the code and the reason of a session's end, wherever it came from.
func closing(err error) (int64, string) {
	var closed *webtransport.SessionError
	if errors.As(err, &closed) {
		return int64(closed.ErrorCode), closed.Message
	}
	return -1, fmt.Sprint(err)
}

func streamCode(err error) int64 {
	var stopped *webtransport.StreamError
	if errors.As(err, &stopped) {
		return int64(stopped.ErrorCode)
	}
	return -1
}

// stopCode is the peer's, of a stream whose context has ended: the context itself has the code as HTTP/3 carries it.
func stopCode(stream *webtransport.Stream) int64 {
	_, err := stream.Write([]byte{0})
	return streamCode(err)
}

// command is a word and a number behind it: "reset 77".
func command(data []byte, word string) (uint32, bool) {
	rest, found := strings.CutPrefix(string(data), word+" ")
	if !found {
		return 0, false
	}
	number, err := strconv.ParseUint(rest, 10, 32)
	return uint32(number), err == nil
}

func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13)
	}
	return data
}

func pinned() *tls.Config {
	return &tls.Config{
		NextProtos:         []string{"h3"},
		InsecureSkipVerify: true, // the certificate is known by its hash
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			sum := sha256.Sum256(raw[0])
			wanted, err := hex.DecodeString(*hash)
			if err != nil || !bytes.Equal(sum[:], wanted) {
				return errors.New("another certificate than the one expected")
			}
			return nil
		},
	}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peer server|client [OPTION...]")
		os.Exit(2)
	}
	flag.CommandLine.Parse(os.Args[2:])
	var err error
	if os.Args[1] == "server" {
		err = serve()
		if err == nil {
			io.Copy(io.Discard, os.Stdin)
		}
	} else {
		err = client()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
