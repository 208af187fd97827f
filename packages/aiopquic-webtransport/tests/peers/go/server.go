package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

func serve() error {
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	server := &webtransport.Server{
		H3:                   &http3.Server{TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}), Handler: routes},
		ApplicationProtocols: names(),
	}
	server.CheckOrigin = func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		return origin == "" || !strings.Contains(origin, "foreign")
	}
	routes.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		session, err := server.Upgrade(w, r)
		if err != nil {
			tell(map[string]any{"event": "refused", "why": err.Error()})
			w.WriteHeader(http.StatusForbidden)
			return
		}
		tell(map[string]any{"event": "session", "protocol": session.SessionState().ApplicationProtocol})
		answer(session)
	})
	webtransport.ConfigureHTTP3Server(server.H3)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	tell(map[string]any{"event": "listening", "port": socket.LocalAddr().(*net.UDPAddr).Port})
	go func() { fmt.Println(server.Serve(socket)) }()
	return nil
}

func answer(session *webtransport.Session) {
	ctx := context.Background()
	go func() {
		for {
			stream, err := session.AcceptStream(ctx)
			if err != nil {
				code, reason := closing(err)
				tell(map[string]any{"event": "closed", "code": code, "reason": reason})
				return
			}
			go echo(stream)
		}
	}()
	go func() {
		for {
			stream, err := session.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			go obey(session, stream)
		}
	}()
	for {
		data, err := session.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		session.SendDatagram(data)
	}
}

func echo(stream *webtransport.Stream) {
	go func() {
		<-stream.Context().Done()
		if code := stopCode(stream); code >= 0 {
			tell(map[string]any{"event": "stop", "code": code})
			stream.CancelRead(webtransport.StreamErrorCode(code))
		}
	}()
	buffer := make([]byte, 1<<16)
	for first := true; ; first = false {
		n, err := stream.Read(buffer)
		if first {
			if code, found := command(buffer[:n], "reset"); found {
				stream.CancelWrite(webtransport.StreamErrorCode(code))
				io.Copy(io.Discard, stream)
				return
			}
			if code, found := command(buffer[:n], "stop"); found {
				stream.CancelRead(webtransport.StreamErrorCode(code))
				stream.Close()
				return
			}
		}
		if n > 0 {
			if _, err := stream.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err == io.EOF {
			stream.Close()
			return
		}
		if err != nil {
			if code := streamCode(err); code >= 0 {
				tell(map[string]any{"event": "reset", "code": code})
				stream.CancelWrite(webtransport.StreamErrorCode(code))
			}
			return
		}
	}
}

func obey(session *webtransport.Session, stream *webtransport.ReceiveStream) {
	data, err := io.ReadAll(stream)
	if err != nil {
		tell(map[string]any{"event": "reset", "code": streamCode(err)})
		return
	}
	word, rest, _ := strings.Cut(string(data), " ")
	switch word {
	case "echo":
		say(session, rest)
	case "close":
		number, reason, _ := strings.Cut(rest, " ")
		code, _ := strconv.ParseUint(number, 10, 32)
		session.CloseWithError(webtransport.SessionErrorCode(code), reason)
	case "open":
		stream, err := session.OpenStreamSync(context.Background())
		if err != nil {
			return
		}
		io.WriteString(stream, "hello from the server")
		stream.Close()
		if reply, err := io.ReadAll(stream); err == nil {
			say(session, "the server got: "+string(reply))
		}
	}
}

// say opens a unidirectional stream that carries the text.
func say(session *webtransport.Session, text string) {
	if stream, err := session.OpenUniStreamSync(context.Background()); err == nil {
		io.WriteString(stream, text)
		stream.Close()
	}
}
