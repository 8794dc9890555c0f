package correlator

// CMAC gives the AES-CMAC of data as tokens are authenticated with it.
func CMAC(key, data []byte) ([]byte, error) {
	c, err := newCMAC(key)
	if err != nil {
		return nil, err
	}
	mac := c.sum(data)
	return mac[:], nil
}
