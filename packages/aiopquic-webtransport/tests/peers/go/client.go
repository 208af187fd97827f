package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"
)

const (
	size   = 1 << 20
	many   = 50
	code   = 4660
	reason = "schönen Tag"
)

func dial(ctx context.Context) (*webtransport.Session, error) {
	transport := webtransport.Transport{
		TLSClientConfig:      pinned(),
		QUICConfig:           &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true},
		ApplicationProtocols: names(),
	}
	_, session, err := transport.Dial(ctx, fmt.Sprintf("https://localhost:%d%s", *port, path), nil)
	return session, err
}

func client() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	session, err := dial(ctx)
	if err != nil {
		return err
	}
	tell(map[string]any{"event": "session", "protocol": session.SessionState().ApplicationProtocol})
	checks := []struct {
		name string
		run  func(context.Context, *webtransport.Session) error
	}{
		{"bidirectional", bidirectional}, {"unidirectional", unidirectional}, {"server_streams", serverStreams},
		{"datagrams", datagrams}, {"many", manyStreams}, {"they_reset", theyReset}, {"they_stop", theyStop},
		{"we_reset", weReset}, {"we_stop", weStop}, {"client_close", clientClose},
	}
	for _, check := range checks {
		verdict(check.name, check.run(ctx, session))
	}
	session, err = dial(ctx)
	if err != nil {
		return err
	}
	verdict("server_close", serverClose(ctx, session))
	tell(map[string]any{"event": "done"})
	return nil
}

func verdict(name string, err error) {
	fields := map[string]any{"event": "check", "name": name, "ok": err == nil}
	if err != nil {
		fields["why"] = err.Error()
	}
	tell(fields)
}

func there(ctx context.Context, session *webtransport.Session, data []byte) error {
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	go func() {
		stream.Write(data)
		stream.Close()
	}()
	back, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%d bytes came back, not the %d that were sent", len(back), len(data))
	}
	return nil
}

func bidirectional(ctx context.Context, session *webtransport.Session) error {
	return there(ctx, session, pattern(size))
}

func manyStreams(ctx context.Context, session *webtransport.Session) error {
	results := make(chan error, many)
	for i := range many {
		go func() { results <- there(ctx, session, pattern(1000+i)) }()
	}
	var all error
	for range many {
		all = errors.Join(all, <-results)
	}
	return all
}

func order(ctx context.Context, session *webtransport.Session, text string) error {
	stream, err := session.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stream, text); err != nil {
		return err
	}
	return stream.Close()
}

func hear(ctx context.Context, session *webtransport.Session, wanted string) error {
	stream, err := session.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	if string(data) != wanted {
		return fmt.Errorf("%q came instead of %q", data, wanted)
	}
	return nil
}

func unidirectional(ctx context.Context, session *webtransport.Session) error {
	if err := order(ctx, session, "echo one way"); err != nil {
		return err
	}
	return hear(ctx, session, "one way")
}

func serverStreams(ctx context.Context, session *webtransport.Session) error {
	if err := order(ctx, session, "open"); err != nil {
		return err
	}
	stream, err := session.AcceptStream(ctx)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	if string(data) != "hello from the server" {
		return fmt.Errorf("the server said %q", data)
	}
	io.WriteString(stream, "hello from the client")
	stream.Close()
	return hear(ctx, session, "the server got: hello from the client")
}

// datagrams may get lost: each is sent until it has come back.
func datagrams(ctx context.Context, session *webtransport.Session) error {
	for i := range 20 {
		wanted := pattern(100 + i*50)
		for found := false; !found; {
			if err := session.SendDatagram(wanted); err != nil {
				return err
			}
			patience, cancel := context.WithTimeout(ctx, time.Second)
			data, err := session.ReceiveDatagram(patience)
			cancel()
			if ctx.Err() != nil {
				return err
			}
			found = bytes.Equal(data, wanted)
		}
	}
	return nil
}

func theyReset(ctx context.Context, session *webtransport.Session) error {
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	io.WriteString(stream, "reset 77")
	defer stream.Close()
	if _, err = io.ReadAll(stream); streamCode(err) != 77 {
		return fmt.Errorf("instead of a reset with 77: %v", err)
	}
	return nil
}

func theyStop(ctx context.Context, session *webtransport.Session) error {
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	io.WriteString(stream, "stop 78")
	return stoppedWith(ctx, stream, 78)
}

// begun is a stream on which the first bytes have come back.
func begun(ctx context.Context, session *webtransport.Session) (*webtransport.Stream, error) {
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	io.WriteString(stream, "given up")
	_, err = io.ReadFull(stream, make([]byte, 8))
	return stream, err
}

// weReset sees its code come back: the server answers a reset with one.
func weReset(ctx context.Context, session *webtransport.Session) error {
	stream, err := begun(ctx, session)
	if err != nil {
		return err
	}
	stream.CancelWrite(79)
	if _, err = io.ReadAll(stream); streamCode(err) != 79 {
		return fmt.Errorf("instead of a reset with 79: %v", err)
	}
	return nil
}

// weStop sees its code come back: the server answers a stop with one.
func weStop(ctx context.Context, session *webtransport.Session) error {
	stream, err := begun(ctx, session)
	if err != nil {
		return err
	}
	stream.CancelRead(80)
	return stoppedWith(ctx, stream, 80)
}

func stoppedWith(ctx context.Context, stream *webtransport.Stream, code int64) error {
	select {
	case <-stream.Context().Done():
	case <-ctx.Done():
	}
	if got := stopCode(stream); got != code {
		return fmt.Errorf("%d instead of a stop with %d", got, code)
	}
	return nil
}

func clientClose(_ context.Context, session *webtransport.Session) error {
	return session.CloseWithError(code, reason)
}

func serverClose(ctx context.Context, session *webtransport.Session) error {
	order(ctx, session, fmt.Sprintf("close %d %s", code, reason)) // the end may come before it is done
	_, err := session.AcceptStream(ctx)
	if got, text := closing(err); got != code || text != reason {
		return fmt.Errorf("closed with %d %q", got, text)
	}
	return nil
}
